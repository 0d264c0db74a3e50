// SPDX-License-Identifier: Apache-2.0

package web

import "net/http"

const forwardedFor = "X-Forwarded-For"

// unveil gives the request the address of its client before anybody looks at it.
func (s *Server) unveil(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = s.settings.Proxies.Remote(r.RemoteAddr, r.Header.Values(forwardedFor))
		next.ServeHTTP(w, r)
	})
}

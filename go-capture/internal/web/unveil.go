// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"strings"

	"visavis/capture/internal/clientnet"
)

const (
	forwardedFor   = "X-Forwarded-For"
	forwardedHost  = "X-Forwarded-Host"
	forwardedProto = "X-Forwarded-Proto"
)

// passedOn is what is known of a request that one of web.proxies has passed on, beside what it has put into the request itself.
type passedOn struct {
	host      string // the Host header, which may be of the proxy's own choice
	encrypted bool   // by its client
}

// passedOnKey finds it in a request's context.
type passedOnKey struct{}

// unveil gives the request the address of its client, and the host that the client asked for, before anybody looks at it.
func (s *Server) unveil(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.settings.Proxies.Made(r.RemoteAddr) && !isIntroduced(r) {
			r = s.unveiled(r)
		}
		next.ServeHTTP(w, r)
	})
}

// isIntroduced tells whether it was said before the request whose its connection is.
func isIntroduced(r *http.Request) bool {
	connection, known := r.Context().Value(connectionKey{}).(net.Conn)
	if !known {
		return false
	}
	_, introduced := connection.RemoteAddr().(clientnet.Introduced)
	return introduced
}

func (s *Server) unveiled(r *http.Request) *http.Request {
	told := passedOn{host: r.Host, encrypted: encrypts(lastOf(r.Header.Values(forwardedProto)))}
	r.RemoteAddr = s.settings.Proxies.Remote(r.RemoteAddr, r.Header.Values(forwardedFor))
	r.Host = cmp.Or(lastOf(r.Header.Values(forwardedHost)), r.Host)
	return r.WithContext(context.WithValue(r.Context(), passedOnKey{}, told))
}

// encrypts tells what a scheme means; Traefik calls that of a WebSocket wss.
func encrypts(scheme string) bool {
	return strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "wss")
}

// lastOf is what the nearest proxy says: what stands before that in a list, the client may have written itself.
func lastOf(values []string) string {
	all := strings.Join(values, ",")
	return strings.TrimSpace(all[strings.LastIndexByte(all, ',')+1:])
}

func passed(r *http.Request) (told passedOn, byProxy bool) {
	told, byProxy = r.Context().Value(passedOnKey{}).(passedOn)
	return told, byProxy
}

// saidHost is a host that a request is for, and the header that says so.
type saidHost struct{ header, host string }

// hostsOf are the host that the client asked for, and the one that the request came with: the same unless a proxy tells of another.
func hostsOf(r *http.Request) [2]saidHost {
	own := saidHost{"Host", r.Host}
	told, byProxy := passed(r)
	if !byProxy || told.host == r.Host {
		return [2]saidHost{own, own}
	}
	return [2]saidHost{{forwardedHost, r.Host}, {"Host", cmp.Or(told.host, r.Host)}}
}

// encrypted tells whether the client's connection is: the one to us, or the one to a proxy in front of us.
func encrypted(r *http.Request) bool {
	told, _ := passed(r)
	return r.TLS != nil || told.encrypted
}

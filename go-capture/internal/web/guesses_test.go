// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestAStrangersTriesShutNobodyElseOut: limits are for each address, of logins as of claims.
func TestAStrangersTriesShutNobodyElseOut(t *testing.T) {
	l := serveLocked(t)
	l.add(t, "anna", "viewer", annasPassword, "*")
	token := l.add(t, "robot", "viewer", "", "*")
	site := l.server.Handler()
	asks := func(remote, method, path, body, bearer string) int {
		r := httptest.NewRequest(method, l.url+path, strings.NewReader(body))
		r.RemoteAddr = remote
		r.Header.Set("Content-Type", jsonType)
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		return w.Code
	}
	for range 20 {
		asks("198.51.100.1:1", http.MethodPost, "/api/v1/login", `{"name":"nobody","password":"wrong horse battery"}`, "")
		asks("198.51.100.2:1", http.MethodPost, "/api/v1/claim", `{"code":"AAAA-AAAA","name":"me","password":"wrong horse battery"}`, "")
	}
	for _, stranger := range []string{"198.51.100.1:2", "198.51.100.2:2"} {
		if code := asks(stranger, http.MethodPost, "/api/v1/login", annasLogin(), ""); code != http.StatusTooManyRequests {
			t.Errorf("%s goes on: %d", stranger, code)
		}
	}
	if code := asks("203.0.113.9:1", http.MethodPost, "/api/v1/login", annasLogin(), ""); code != http.StatusOK {
		t.Errorf("anna, from elsewhere: %d", code)
	}
	if code := asks("203.0.113.9:1", http.MethodGet, "/api/v1/status", "", token); code != http.StatusOK {
		t.Errorf("the robot, from elsewhere: %d", code)
	}
}

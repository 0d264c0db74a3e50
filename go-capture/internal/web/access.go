// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/problem"
)

// guarded lets a request through to its route when whoever sent it may use that route, and ends it when they no longer may.
func (s *Server) guarded(t route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t.least == auth.Public || s.settings.Auth == nil {
			t.ServeHTTP(w, r)
			return
		}
		who, err := s.identify(r)
		if err == nil {
			err = t.allows(who, r)
		}
		if err != nil {
			t.turnAway(w, r, err)
			return
		}
		ctx, release := s.settings.Auth.Hold(context.WithValue(r.Context(), visitorKey{}, who), who)
		defer release()
		t.ServeHTTP(w, r.WithContext(ctx))
	})
}

// visitorKey finds in a request's context who sent it.
type visitorKey struct{}

// visitorOf is whoever was let in: everyone where nobody needs a login; else nobody, who sees nothing, on a public route.
func (s *Server) visitorOf(r *http.Request) auth.Identity {
	if s.settings.Auth == nil {
		return auth.Everyone()
	}
	return letIn(r.Context())
}

// AccountOf names the login or token by which a request was let in; "" where nobody needs one.
func AccountOf(ctx context.Context) string { return letIn(ctx).Name }

func letIn(ctx context.Context) auth.Identity {
	who, _ := ctx.Value(visitorKey{}).(auth.Identity)
	return who
}

// errNobody is for a request with neither token nor cookie.
var errNobody = errors.New("this needs a login")

// identify finds who sent a request. A token is looked at first, whatever cookie comes with it. Another scheme is not for us: a browser
// sends Basic with each request to a proxy that asks for it.
func (s *Server) identify(r *http.Request) (auth.Identity, error) {
	gate := s.settings.Auth
	if gate == nil {
		return auth.Everyone(), nil
	}
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		return gate.ByToken(r.Context(), r.RemoteAddr, strings.TrimSpace(token))
	}
	if cookie, err := r.Cookie(s.cookieName(r)); err == nil {
		return gate.BySession(cookie.Value)
	}
	return auth.Identity{}, errNobody
}

// allows tells whether somebody may use the route, and the camera that the request names.
func (t route) allows(who auth.Identity, r *http.Request) error {
	if who.Role < t.least {
		return forbidden("This needs the role %s; yours is %s.", t.least, who.Role)
	}
	if strings.Contains(t.pattern, "/cameras/{id}") {
		if !who.MaySee(r.PathValue("id")) { // the same for one that does not exist: what is hidden stays hidden
			return forbidden("You may not see the camera %q.", r.PathValue("id"))
		}
		return nil
	}
	if t.shows == EveryCamera && !who.SeesAll() {
		return forbidden("This shows all cameras, and you may not see all of them.")
	}
	return nil
}

func forbidden(detail string, values ...any) error {
	return refusal{Status: http.StatusForbidden, Title: "You may not do this", Detail: fmt.Sprintf(detail, values...)}
}

// turnAway refuses; whoever opens a page without a login is shown where to log in.
func (t route) turnAway(w http.ResponseWriter, r *http.Request, err error) {
	refused := refusalOf(err)
	if refused.Status == http.StatusUnauthorized {
		if t.page {
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, loginFor(t.pattern), http.StatusSeeOther)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="visavis"`)
	}
	answerError(w, r, refused)
}

// loginFor is where somebody logs in who wanted a page; the login leads back to it.
func loginFor(page string) string {
	if page == dashboardPage {
		return "/login"
	}
	return "/login?to=" + url.QueryEscape(page)
}

// refusalOf says how an error of auth is answered.
func refusalOf(err error) refusal {
	var refused refusal
	var throttled auth.Throttled
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, errNobody):
		return refusal{Status: http.StatusUnauthorized, Title: "This needs a login",
			Detail: "Log in at /login, or send a token as `Authorization: Bearer`; `visavis auth add` makes one."}
	case errors.Is(err, auth.ErrUnknown):
		return refusal{Status: http.StatusUnauthorized, Title: "Not known here",
			Detail: "The name, password, token or session is wrong, was revoked or has expired."}
	case errors.As(err, &throttled):
		return refusal{Status: http.StatusTooManyRequests, Title: "Too many tries", Detail: "Wait before you try again.",
			RetryAfter: int(math.Ceil(throttled.Wait.Seconds()))}
	case errors.Is(err, context.Canceled):
		return refusal{Status: problem.StatusClientGone, Title: "The client has gone"}
	case errors.Is(err, auth.ErrBusy):
		return refusal{Status: http.StatusServiceUnavailable, Title: "Too many logins at once", RetryAfter: 1}
	}
	return refusal{Status: http.StatusInternalServerError, Title: "The device could not answer", Detail: err.Error()}
}

// SPDX-License-Identifier: Apache-2.0

package auth

import "context"

// hold is one request under way. A live picture lasts for days: it must end when the right to see it does.
type hold struct {
	who Identity
	end context.CancelFunc
}

// Hold returns a context that ends when the account or the session does, or changes. The caller calls release at the end.
func (g *Gate) Hold(ctx context.Context, who Identity) (held context.Context, release func()) {
	held, end := context.WithCancel(ctx)
	one := &hold{who: who, end: end}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held[one] = struct{}{}
	if who.session != nil {
		who.session.open++
	}
	if !g.stands(who) { // revoked since it was found
		end()
	}
	return held, func() { g.release(one) }
}

func (g *Gate) release(one *hold) {
	one.end()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.held, one)
	if one.who.session != nil {
		one.who.session.open--
		one.who.session.used = g.settings.now()
	}
}

// cut ends the requests of accounts and sessions that are no more. Called with the mutex held.
func (g *Gate) cut() {
	for one := range g.held {
		if !g.stands(one.who) {
			one.end()
		}
	}
}

func (g *Gate) stands(who Identity) bool {
	if who.account != nil && !g.book.holds(who.account) {
		return false
	}
	return who.session == nil || g.sessions.holds(who.session)
}

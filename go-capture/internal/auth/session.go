// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/sha256"
	"time"
)

const (
	sessionsMost       = 1024
	sessionsPerAccount = 32
	cookieRunes        = 52 // 260 bits in base32
)

// session is one browser that has logged in. Times are monotonic: a clock that jumps ends none.
type session struct {
	key     [sha256.Size]byte // of the cookie, which is kept nowhere
	account *Account
	begun   time.Time
	used    time.Time
	open    int // requests under way
}

// sessions are the browsers that are logged in.
type sessions struct {
	idle, most time.Duration
	byKey      map[[sha256.Size]byte]*session
	changed    bool // one began or ended since they were written
}

func newSessions(idle, most time.Duration) *sessions {
	return &sessions{idle: idle, most: most, byKey: map[[sha256.Size]byte]*session{}}
}

// begin logs an account in and returns the cookie.
func (s *sessions) begin(account *Account, now time.Time) string {
	s.makeRoom(account)
	cookie := randomText(cookieRunes)
	made := &session{key: sha256.Sum256([]byte(cookie)), account: account, begun: now, used: now}
	s.byKey[made.key] = made
	s.changed = true
	return cookie
}

// find returns the session of a cookie and notes that it is used; nil if there is none.
func (s *sessions) find(cookie string, now time.Time) *session {
	found := s.byKey[sha256.Sum256([]byte(cookie))]
	if found == nil || s.over(found, now) {
		return nil
	}
	found.used = now
	return found
}

// over tells whether a session has ended by time. What is open keeps it from being idle, but not for ever.
func (s *sessions) over(one *session, now time.Time) bool {
	return now.Sub(one.begun) >= s.most || one.open == 0 && now.Sub(one.used) >= s.idle
}

func (s *sessions) end(one *session) {
	delete(s.byKey, one.key)
	s.changed = true
}

func (s *sessions) holds(one *session) bool { return s.byKey[one.key] == one }

// sweep forgets what is over, or whose account is gone.
func (s *sessions) sweep(now time.Time, known func(*Account) bool) {
	for _, one := range s.byKey {
		if s.over(one, now) || !known(one.account) {
			s.end(one)
		}
	}
}

// makeRoom ends the session that was not used for longest when there are too many.
func (s *sessions) makeRoom(account *Account) {
	var oldest, oldestOfAccount *session
	ofAccount := 0
	for _, one := range s.byKey {
		oldest = older(oldest, one)
		if one.account == account {
			ofAccount++
			oldestOfAccount = older(oldestOfAccount, one)
		}
	}
	if ofAccount >= sessionsPerAccount {
		s.end(oldestOfAccount)
	} else if len(s.byKey) >= sessionsMost {
		s.end(oldest)
	}
}

func older(a, b *session) *session {
	if a == nil || b.used.Before(a.used) {
		return b
	}
	return a
}

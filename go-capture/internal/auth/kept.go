// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"visavis/capture/internal/clock"
	"visavis/capture/internal/state"
)

const (
	keepEach = 5 * time.Minute // how often the last uses are written; beginnings and ends are at once
	// A clock that was set back by less is no reason to end a session.
	clockSlack = 5 * time.Minute
)

// keptSession is a session as it outlives the daemon. Of the cookie and of the account there are only hashes.
type keptSession struct {
	Key     string    `json:"key"`
	Account string    `json:"account"`
	Seal    string    `json:"seal"`
	Begun   time.Time `json:"begun"`
	Used    time.Time `json:"used"`
}

// seal changes with anything that matters about the account.
func (a *Account) seal() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{a.Name, a.Role, a.Kind, a.Hash, strings.Join(a.Cameras, ",")}, "\n")))
	return hex.EncodeToString(sum[:])
}

// keep gives the sessions as they are to be written at this time of day. Ages are monotonic, so a clock that was set meanwhile makes none
// older.
func (s *sessions) keep(now, ofDay time.Time) []keptSession {
	kept := make([]keptSession, 0, len(s.byKey))
	for _, one := range s.byKey {
		used := now.Sub(one.used)
		if one.open > 0 {
			used = 0
		}
		kept = append(kept, keptSession{
			Key: hex.EncodeToString(one.key[:]), Account: one.account.Name, Seal: one.account.seal(),
			Begun: ofDay.Add(-now.Sub(one.begun)).UTC(), Used: ofDay.Add(-used).UTC(),
		})
	}
	return kept
}

// resume takes sessions back whose account has not changed and that are not over.
func (s *sessions) resume(kept []keptSession, now time.Time, accountOf func(name string) *Account) {
	for _, one := range kept {
		account, key := accountOf(one.Account), [sha256.Size]byte{}
		if n, err := hex.Decode(key[:], []byte(one.Key)); err != nil || n != len(key) || account == nil || account.seal() != one.Seal {
			continue
		}
		begun, used := now.Sub(one.Begun), now.Sub(one.Used)
		if used < -clockSlack || begun < used-clockSlack || len(s.byKey) >= sessionsMost {
			continue // the clock is wrong now, or was: nobody knows how old it is
		}
		back := &session{key: key, account: account, begun: now.Add(-max(0, begun)), used: now.Add(-max(0, used))}
		if !s.over(back, now) {
			s.byKey[key] = back
		}
	}
}

// readBack reads a list that the daemon before this one has kept; none is empty.
func readBack[T any](path string) (kept []T, err error) {
	text, err := state.Read(path, fileBytesMost)
	if err != nil || text == nil {
		return nil, err
	}
	err = json.Unmarshal(text, &kept)
	return kept, err
}

// resumeSessions reads what the daemon before this one has left. What cannot be used logs somebody out, and nothing else.
func (g *Gate) resumeSessions() {
	if g.settings.Sessions == "" {
		return
	}
	kept, err := readBack[keptSession](g.settings.Sessions)
	if err != nil {
		slog.Warn("everybody has to log in again", "error", err)
		return
	}
	g.sessions.resume(kept, g.settings.now(), func(name string) *Account { return g.book.byName[name] })
}

// keepSessions writes the sessions if one began or ended since the last time, or if they were not written for long.
// Called without the mutex: a disk may be slow. What could not be written is due again.
func (g *Gate) keepSessions(always bool) (upToDate bool) {
	if !g.sessionsDue(always) || g.keeper.Write() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions.changed = true
	return false
}

func (g *Gate) sessionsDue(always bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.settings.now()
	ofDay := g.settings.timeOfDay(now)
	if !always && !g.sessions.changed && (len(g.sessions.byKey) == 0 || !g.outdated(now, ofDay)) {
		return false
	}
	g.sessions.changed, g.keptAt, g.keptOfDay = false, now, ofDay
	return true
}

// outdated tells that the file says too little about the last uses, or that its times are of a clock that was set since: the next daemon
// would take what was set for time in which nobody used a session.
func (g *Gate) outdated(now, ofDay time.Time) bool {
	ran := now.Sub(g.keptAt)
	return ran >= keepEach || (ofDay.Sub(g.keptOfDay)-ran).Abs() > clock.Step
}

// sessionsText is what the file of the sessions should hold.
func (g *Gate) sessionsText() ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.settings.now()
	return json.Marshal(g.sessions.keep(now, g.settings.timeOfDay(now)))
}

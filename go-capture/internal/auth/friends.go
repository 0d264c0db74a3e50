// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"slices"
)

const friendsMost = 1024

// friends are names with addresses from which they have logged in, as hashes, the latest last: others cannot lock them out there. They
// outlive the daemon, for an attack does too.
type friends struct {
	known   []string
	changed bool // since they were written
}

func friendOf(name, place string) string {
	sum := sha256.Sum256([]byte(name + " " + place))
	return hex.EncodeToString(sum[:])
}

func (f *friends) hold(name, place string) bool {
	return slices.Contains(f.known, friendOf(name, place))
}

// add makes one the latest; the one that has not logged in for longest gives way.
func (f *friends) add(name, place string) {
	one := friendOf(name, place)
	if len(f.known) > 0 && f.known[len(f.known)-1] == one {
		return
	}
	f.known = slices.DeleteFunc(f.known, func(other string) bool { return other == one })
	f.take(append(f.known, one))
	f.changed = true
}

func (f *friends) take(all []string) { f.known = all[max(0, len(all)-friendsMost):] }

// resumeFriends reads whom the daemon before this one knew. What cannot be used costs nobody their login, unless their name is under attack.
func (g *Gate) resumeFriends() {
	if g.settings.Friends == "" {
		return
	}
	kept, err := readBack[string](g.settings.Friends)
	if err != nil {
		slog.Warn("nobody knows from which addresses people log in: who guesses passwords may keep them out until they have logged in again", "error", err)
		return
	}
	g.friends.take(kept)
}

// keepFriends writes them if there is a new one. Called without the mutex: a disk may be slow.
func (g *Gate) keepFriends() {
	if !g.friendsDue() || g.friendsKeeper.Write() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.friends.changed = true
}

func (g *Gate) friendsDue() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	due := g.friends.changed
	g.friends.changed = false
	return due
}

// friendsText is what their file should hold.
func (g *Gate) friendsText() ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return json.Marshal(g.friends.known)
}

// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"visavis/capture/internal/aside"
	"visavis/capture/internal/clientnet"
	"visavis/capture/internal/state"
)

const (
	lookEach     = time.Second // how long a stream of a revoked account may go on
	verifiedMost = 256
)

// Settings of a Gate.
type Settings struct {
	File        File
	SessionIdle time.Duration // a session that is not used for so long is over
	SessionMost time.Duration // and every one is over after this
	// Sessions is the file that keeps them over a restart; "" keeps none.
	Sessions string
	// Friends keeps the addresses from which people have logged in, for the throttle; "" keeps none.
	Friends string
	// RunToken lets whoever started the daemon, a program or root, look at the figures; "" lets nobody.
	RunToken string

	now       func() time.Time              // nil = time.Now
	timeOfDay func(now time.Time) time.Time // as the clock shows it then; nil = as now does
}

// Gate answers who somebody is. Make it with Open; its methods may be called from any goroutine.
type Gate struct {
	settings Settings
	verifier *verifier
	flights  singleflight.Group
	key      [sha256.Size]byte // of the hashes by which verified tokens are found
	stranger phc               // what the password of an unknown name is compared with, so that it takes as long

	keeper        *state.Keeper // of the sessions' file
	friendsKeeper *state.Keeper
	fault         *state.Fault // of the credentials file

	mu        sync.Mutex
	keptAt    time.Time // when the sessions were last due to be written
	keptOfDay time.Time // what the clock showed then
	book      *book
	sessions  *sessions
	verified  map[[sha256.Size]byte]*Account
	addresses *throttle
	names     *throttle
	tokens    *throttle
	friends   friends
	held      map[*hold]struct{}
	claim     *claim // nil when nobody may claim the device
}

// Open reads the credentials. A file that cannot be used is an error; one that is not there holds nobody.
func Open(settings Settings) (*Gate, error) {
	if settings.now == nil {
		settings.now = time.Now
	}
	if settings.timeOfDay == nil {
		settings.timeOfDay = func(now time.Time) time.Time { return now.Round(0) }
	}
	book, err := openBook(settings.File)
	if err != nil {
		return nil, err
	}
	g := &Gate{
		settings: settings, verifier: newVerifier(), stranger: hashOf(rand.Text()),
		book: book, sessions: newSessions(settings.SessionIdle, settings.SessionMost), verified: map[[sha256.Size]byte]*Account{},
		addresses: newThrottle(perAddress), names: newThrottle(perName), tokens: newThrottle(perToken),
		held: map[*hold]struct{}{},
	}
	g.fault = state.NewFault(slog.String("file", settings.File.Path), "nobody is let in", "whoever has a login is let in again")
	g.keeper = state.NewKeeper(settings.Sessions, "sessions are not kept over a restart", "sessions are kept again", g.sessionsText)
	g.friendsKeeper = state.NewKeeper(settings.Friends, "addresses from which people log in are not kept over a restart", "these addresses are kept again", g.friendsText)
	g.resumeSessions()
	g.resumeFriends()
	_, _ = rand.Read(g.key[:]) // it never fails: without randomness the program ends
	return g, nil
}

// keepMost is how long a disk that hangs is waited for at the end.
const keepMost = time.Second

// Run ends what is open of accounts that are revoked and of sessions that are over, and keeps the sessions, until ctx ends.
func (g *Gate) Run(ctx context.Context) error {
	aside.Within(ctx, keepMost, func() { g.run(ctx) })
	return nil
}

func (g *Gate) run(ctx context.Context) {
	defer g.keepFriends()
	defer g.keepSessions(true)
	tick := time.NewTicker(lookEach)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.look()
			g.keepSessions(false)
			g.keepFriends()
		}
	}
}

// Fault says what is wrong with the logins now; "" when all is well.
func (g *Gate) Fault() string {
	return cmp.Or(g.fault.Now(), g.keeper.Fault(), g.friendsKeeper.Fault())
}

// look is one round of Run. What is wrong with the file is told without the mutex: whoever reads our log may hang.
func (g *Gate) look() { g.fault.Note(g.swept()) }

func (g *Gate) swept() (unreadable error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh()
	g.sessions.sweep(g.settings.now(), g.book.knows)
	g.cut()
	return g.book.failed
}

// refresh follows the credentials file. Called with the mutex held, before each answer.
func (g *Gate) refresh() {
	if !g.book.refresh() {
		return
	}
	if g.book.hasAdmin() {
		g.claim = nil
	}
	maps.DeleteFunc(g.verified, func(_ [sha256.Size]byte, account *Account) bool { return !g.book.holds(account) })
	g.sessions.sweep(g.settings.now(), g.book.knows)
	g.cut()
}

// HasAdmin tells whether anybody is an administrator.
func (g *Gate) HasAdmin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh()
	return g.book.hasAdmin()
}

// HasPeople tells whether anybody can log in with a password.
func (g *Gate) HasPeople() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh()
	return g.book.hasPeople()
}

// ByToken finds whose token it is. It fails with ErrUnknown, ErrBusy or Throttled.
func (g *Gate) ByToken(ctx context.Context, remote, token string) (Identity, error) {
	if g.isRunToken(token) {
		return Identity{Name: "this machine", Role: Viewer, cameras: allCameras}, nil
	}
	seal := g.sealOf(token)
	if account := g.known(seal); account != nil {
		return account.identity(nil), nil
	}
	// Requests that come with the same token at the same time cost one hash. It outlives the request that began it.
	found, err, _ := g.flights.Do(string(seal[:]), func() (any, error) {
		return g.verify(context.WithoutCancel(ctx), remote, token)
	})
	if err != nil {
		return Identity{}, err
	}
	return found.(*Account).identity(nil), nil
}

func (g *Gate) isRunToken(token string) bool {
	return g.settings.RunToken != "" && subtle.ConstantTimeCompare([]byte(token), []byte(g.settings.RunToken)) == 1
}

// sealOf is the hash by which a verified token is found: useless to whoever reads this memory later.
func (g *Gate) sealOf(token string) (seal [sha256.Size]byte) {
	mac := hmac.New(sha256.New, g.key[:])
	mac.Write([]byte(token))
	mac.Sum(seal[:0])
	return seal
}

func (g *Gate) known(seal [sha256.Size]byte) *Account {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh()
	return g.verified[seal]
}

// verify checks a token against its hash. A token whose id nobody has costs nothing; the ids are random and no secrets.
func (g *Gate) verify(ctx context.Context, remote, token string) (*Account, error) {
	id, secret, whole := splitToken(token)
	if !whole {
		return nil, ErrUnknown
	}
	account, err := g.tryToken(id, remote)
	if err != nil {
		return nil, err
	}
	good, err := g.verifier.matches(ctx, account.hash, secret)
	if err != nil {
		return nil, err
	}
	if good && g.trust(token, account) {
		return account, nil
	}
	if !good {
		g.countWrongToken(remote)
	}
	slog.Warn("wrong token", "account", account.Name, "from", clientnet.NameOfRemote(remote))
	return nil, ErrUnknown
}

// trust remembers a token that was verified; false when its account was revoked meanwhile.
func (g *Gate) trust(token string, account *Account) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.book.holds(account) {
		return false
	}
	for seal := range g.verified { // any one gives way, and is verified anew when it comes again
		if len(g.verified) < verifiedMost {
			break
		}
		delete(g.verified, seal)
	}
	g.verified[g.sealOf(token)] = account
	return true
}

func (g *Gate) tryToken(id, remote string) (*Account, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	account := g.book.byID[id]
	if account == nil {
		return nil, ErrUnknown
	}
	if wait := g.tokens.wait(clientnet.NameOfRemote(remote), g.settings.now()); wait > 0 {
		return nil, Throttled{wait}
	}
	return account, nil
}

// countWrongToken counts those alone: a host with many right ones has guessed none. Some may be verified before the first is counted, and
// each of them is owed.
func (g *Gate) countWrongToken(remote string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tokens.owe(clientnet.NameOfRemote(remote), g.settings.now())
}

// Login opens a session and returns its cookie. It fails with ErrUnknown, ErrBusy or Throttled.
func (g *Gate) Login(ctx context.Context, remote, name, password string) (cookie string, who Identity, err error) {
	name, place := strings.ToLower(strings.TrimSpace(name)), clientnet.NameOfRemote(remote)
	account, err := g.tryLogin(name, remote)
	if err != nil {
		return "", Identity{}, err
	}
	hash := g.stranger
	if account != nil {
		hash = account.hash
	}
	good, err := g.verifier.matches(ctx, hash, password)
	if err != nil {
		return "", Identity{}, err
	}
	if good && account != nil {
		cookie = g.welcome(account, remote)
	}
	if cookie == "" {
		slog.Warn("login refused", "from", place) // without the name: people type passwords there
		return "", Identity{}, ErrUnknown
	}
	slog.Info("login", "account", account.Name, "from", place)
	return cookie, account.identity(nil), nil
}

// welcome begins a session; "" when the account was revoked meanwhile.
func (g *Gate) welcome(account *Account, remote string) (cookie string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.book.holds(account) {
		return ""
	}
	return g.letIn(account, remote)
}

// letIn begins a session and notes from where: the address, and the network with it, for an address of IPv6 is a machine's for a day.
func (g *Gate) letIn(account *Account, remote string) (cookie string) {
	g.friends.add(account.Name, clientnet.AddressOfRemote(remote))
	g.friends.add(account.Name, clientnet.NameOfRemote(remote))
	return g.sessions.begin(account, g.settings.now())
}

// tryLogin counts the try. It returns nil when nobody of that name has a password: the caller must not be quicker for that. Who has logged
// in from this very address before waits for none but themselves: at home the network of IPv6 is one with every other device there.
func (g *Gate) tryLogin(name, remote string) (*Account, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh()
	now := g.settings.now()
	place, address := clientnet.NameOfRemote(remote), clientnet.AddressOfRemote(remote)
	wait := g.addresses.take(place, now)
	known := g.friends.hold(name, place)
	if known && g.friends.hold(name, address) {
		wait = g.addresses.take(friendOf(name, address), now)
	}
	if wait == 0 && !known {
		wait = g.names.take(name[:min(len(name), 64)], now)
	}
	if wait > 0 {
		return nil, Throttled{wait}
	}
	account := g.book.byName[name]
	if account == nil || account.Kind != Password {
		return nil, nil
	}
	return account, nil
}

// BySession finds whose cookie it is; ErrUnknown when it holds no longer.
func (g *Gate) BySession(cookie string) (Identity, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh()
	found := g.sessions.find(cookie, g.settings.now())
	if found == nil || !g.book.holds(found.account) {
		return Identity{}, ErrUnknown
	}
	return found.account.identity(found), nil
}

// Logout ends the session of a cookie, and what it has open; also for the daemon after this one, before it returns. A cookie that does
// not hold is no error: nobody is logged in then. Where the sessions cannot be written nobody's are kept; it fails when the disk does not
// let go of the old ones either, so that the session would hold again after a restart.
func (g *Gate) Logout(cookie string) error {
	if !g.endSession(cookie) || g.keepSessions(true) { // which waits for a write under way, that may not know of this
		return nil
	}
	return g.keeper.Remove()
}

func (g *Gate) endSession(cookie string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	found := g.sessions.find(cookie, g.settings.now())
	if found == nil {
		return false
	}
	g.sessions.end(found)
	g.cut()
	return true
}

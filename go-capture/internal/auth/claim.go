// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"visavis/capture/internal/clientnet"
)

const (
	// ClaimLasts is how long a code may be used.
	ClaimLasts = 15 * time.Minute
	codeRunes  = 8
	// No 0, 1, I, O: a code is read from one screen and typed at another. 32 letters, five bits each.
	codeAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
)

// ErrClaimed says that a device cannot be claimed: it has an administrator, or the time is over.
var ErrClaimed = errors.New("there is nothing to claim")

// claim is the one chance to become the first administrator of a device that other machines can reach.
type claim struct {
	code  string
	until time.Time // zero: it counts until it was used
}

// OfferClaim makes the code with which somebody may become the first administrator; "" when there is one.
func (g *Gate) OfferClaim() (code string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh()
	if g.book.hasAdmin() {
		return ""
	}
	g.claim = &claim{code: newCode(), until: g.settings.now().Add(ClaimLasts)}
	return g.claim.code[:codeRunes/2] + "-" + g.claim.code[codeRunes/2:]
}

// OfferKnownClaim does the same with a code that its owner has already, and that counts until it was used. It fails on what is no code, and
// with ErrUsed.
func (g *Gate) OfferKnownClaim(code string) error {
	code, err := knownCode(code)
	if err != nil {
		return err
	}
	if err := g.settings.File.usedCodes().refuse(code); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh()
	g.claim = &claim{code: code}
	return nil
}

// NoteKnownClaim takes a code for used on a device that has an administrator, if none was ever noted: it was claimed by a daemon that noted
// none. What is no code needs no note.
func (g *Gate) NoteKnownClaim(code string) error {
	used := g.settings.File.usedCodes()
	code, wrong := knownCode(code)
	if wrong != nil || used.exist() {
		return nil
	}
	_, err := used.add(code)
	return err
}

func knownCode(typed string) (string, error) {
	code := plainCode(typed)
	if len(code) != codeRunes || strings.Trim(code, codeAlphabet) != "" {
		return "", fmt.Errorf("a claim code is %d of the letters %s", codeRunes, codeAlphabet)
	}
	return code, nil
}

// plainCode is a code without what people type between its letters.
func plainCode(typed string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "", "\n", "", "\r", "").Replace(typed))
}

func newCode() string {
	random := make([]byte, codeRunes)
	_, _ = rand.Read(random) // it never fails: without randomness the program ends
	for i, value := range random {
		random[i] = codeAlphabet[int(value)%len(codeAlphabet)] // 256 is a multiple of 32: none is likelier
	}
	return string(random)
}

// ClaimOpen tells whether a code still counts.
func (g *Gate) ClaimOpen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh()
	return g.claimOpen()
}

func (g *Gate) claimOpen() bool {
	if g.claim != nil && (g.book.hasAdmin() || g.claim.over(g.settings.now())) {
		g.claim = nil
	}
	return g.claim != nil
}

// isKnown tells whether its owner has had the code from the start, and may offer it again.
func (c *claim) isKnown() bool { return c.until.IsZero() }

func (c *claim) over(now time.Time) bool {
	return !c.isKnown() && !now.Before(c.until)
}

// Claim makes the first administrator and logs them in. It fails with ErrClaimed, ErrUnknown for a wrong code, Throttled, ErrBusy,
// or what is wrong with the name or the password; then the code still counts.
func (g *Gate) Claim(ctx context.Context, remote, code string, first Wanted) (cookie string, who Identity, err error) {
	place := clientnet.NameOfRemote(remote)
	used, err := g.tryCode(code, place)
	if err != nil {
		if errors.Is(err, ErrUnknown) {
			slog.Warn("wrong claim code", "from", place)
		}
		return "", Identity{}, err
	}
	if err := g.verifier.alone(ctx, func() error { return g.addFirst(first, used) }); err != nil {
		return "", Identity{}, err
	}
	cookie, account := g.welcomeFirst(first.Name, remote)
	if account == nil {
		return "", Identity{}, ErrUnknown // revoked in the same moment
	}
	slog.Info("claimed: this device has its first administrator", "account", account.Name, "from", place)
	return cookie, account.identity(nil), nil
}

func (g *Gate) welcomeFirst(name, remote string) (cookie string, account *Account) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh()
	if account = g.book.byName[name]; account == nil {
		return "", nil
	}
	return g.letIn(account, remote), account
}

// tryCode counts the try, compares the code and returns the claim that it is of.
func (g *Gate) tryCode(code, place string) (*claim, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh()
	if wait := g.addresses.take(place, g.settings.now()); wait > 0 {
		return nil, Throttled{wait}
	}
	if !g.claimOpen() {
		return nil, ErrClaimed
	}
	if subtle.ConstantTimeCompare([]byte(plainCode(code)), []byte(g.claim.code)) != 1 {
		return nil, ErrUnknown
	}
	return g.claim, nil
}

// addFirst adds the administrator, unless somebody else was quicker. A known code is noted as used before that, so that no power cut lets
// it count twice.
func (g *Gate) addFirst(first Wanted, by *claim) error {
	first.Role, first.Cameras = Admin.String(), []string{everyCamera}
	takeBack := func() error { return nil }
	_, err := g.settings.File.addIf(first, func(accounts []*Account) error {
		if slices.ContainsFunc(accounts, (*Account).isAdmin) {
			return ErrClaimed
		}
		if by.isKnown() {
			used, err := g.settings.File.usedCodes().add(by.code)
			if err != nil {
				return err
			}
			takeBack = used
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, takeBack())
	}
	return nil
}

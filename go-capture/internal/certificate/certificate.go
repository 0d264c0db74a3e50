// SPDX-License-Identifier: Apache-2.0

// Package certificate keeps the certificate of the page: from files, which are read again when they change, or made by the device
// for its own names.
package certificate

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"visavis/capture/internal/state"
)

// Keeper hands the certificate to each connection.
type Keeper struct {
	cert, key string // files; the same one when it holds both
	now       func() time.Time
	renew     func() error
	fault     *state.Fault

	held atomic.Pointer[tls.Certificate]

	mu       sync.Mutex     // of whoever looks
	read     [2]state.Stamp // the files of held
	standsIn bool           // held is none of the files
	unkept   error          // why the certificate that the device made is in memory only
}

// FromFiles uses a certificate chain and its key, in PEM. Whoever renews them need not restart anything. While they cannot be used from
// the start on, one that is made for the names stands in: a device must not stay dark because only one of two files was renewed.
func FromFiles(cert, key string, names []string) (*Keeper, error) {
	return fromFilesBy(time.Now, cert, key, names)
}

func fromFilesBy(now func() time.Time, cert, key string, names []string) (*Keeper, error) {
	k := newKeeper(now, cert, key)
	if k.refresh() == nil {
		return k, nil
	}
	pair, _, err := madePair(names, now())
	if err != nil {
		return nil, err
	}
	k.held.Store(&pair)
	k.standsIn = true
	k.Look() // says why
	return k, nil
}

func newKeeper(now func() time.Time, cert, key string) *Keeper {
	fault := state.NewFault(slog.String("file", cert), "the page's certificate needs a hand", "the page's certificate is in order again")
	return &Keeper{cert: cert, key: key, now: now, fault: fault}
}

// Config is what a server needs.
func (k *Keeper) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.current(), nil }}
}

// Fingerprint is the SHA-256 of the certificate, as browsers show it.
func (k *Keeper) Fingerprint() string { return fingerprint(k.current()) }

func fingerprint(held *tls.Certificate) string {
	sum := sha256.Sum256(held.Certificate[0])
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// Look renews what is to be renewed, and notes what somebody should see to. It is called now and then: nobody may connect for weeks.
func (k *Keeper) Look() { k.current() }

// Fault says what somebody should see to: files that cannot be used, or not at this time; "" when all is well.
func (k *Keeper) Fault() string { return k.fault.Now() }

// current is the newest certificate that could be read; a half-written file changes nothing. Each connection looks again, unless another
// one does: a disk that hangs holds up that one alone.
func (k *Keeper) current() *tls.Certificate {
	if k.mu.TryLock() {
		defer k.mu.Unlock()
		err := k.refresh()
		k.fault.Note(cmp.Or(err, k.unkept, Untimely(k.held.Load().Leaf, k.now())))
	}
	return k.held.Load()
}

// refresh reads the files again if one of them is not the one that is held, after the device has renewed its own: a file that cannot be
// used now may be without a change. Called with the mutex held.
func (k *Keeper) refresh() error {
	if k.renew != nil {
		if err := k.renew(); err != nil {
			return err
		}
	}
	seen := k.look()
	if k.held.Load() != nil && seen == k.read && !k.standsIn {
		return nil
	}
	pair, err := load(k.cert, k.key)
	if err != nil {
		return err
	}
	k.take(&pair, seen)
	return nil
}

func load(cert, key string) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return pair, fmt.Errorf("certificate %s with key %s cannot be used: %w; install web.cert and web.key of one renewal", cert, key, err)
	}
	return pair, nil
}

// Flaw is what a Keeper of these files has as its fault at this time; nil when all is well.
func Flaw(cert, key string, now time.Time) error {
	pair, err := load(cert, key)
	if err != nil {
		return err
	}
	return Untimely(pair.Leaf, now)
}

// take changes over. Whoever compared the one before has to be told of the next.
func (k *Keeper) take(next *tls.Certificate, seen [2]state.Stamp) {
	if before := k.held.Load(); before != nil && fingerprint(before) != fingerprint(next) {
		slog.Info("the page has another certificate from now on", "sha256", fingerprint(next), "until", next.Leaf.NotAfter)
	}
	k.held.Store(next)
	k.read, k.standsIn = seen, false
}

func (k *Keeper) look() [2]state.Stamp {
	return [2]state.Stamp{state.StampOf(k.cert), state.StampOf(k.key)}
}

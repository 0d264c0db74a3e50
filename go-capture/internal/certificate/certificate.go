// SPDX-License-Identifier: Apache-2.0

// Package certificate keeps the certificate of the page: from files, which are read again when they change, or made by the device
// for its own names.
package certificate

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// Keeper hands the certificate to each connection.
type Keeper struct {
	cert, key string // files; the same one when it holds both
	renew     func() error

	mu     sync.Mutex
	read   [2]time.Time // when the files of held were changed
	held   *tls.Certificate
	failed string // what was said of the last try, "" after a good one
}

// FromFiles uses a certificate chain and its key, in PEM. Whoever renews them need not restart anything.
func FromFiles(cert, key string) (*Keeper, error) {
	k := &Keeper{cert: cert, key: key}
	return k, k.refresh()
}

// Config is what a server needs.
func (k *Keeper) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.current(), nil }}
}

// Fingerprint is the SHA-256 of the certificate, as browsers show it.
func (k *Keeper) Fingerprint() string {
	sum := sha256.Sum256(k.current().Certificate[0])
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// current is the newest certificate that could be read; a half-written file changes nothing.
func (k *Keeper) current() *tls.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.refresh()
	if err == nil {
		k.failed = ""
	} else if k.failed != err.Error() { // each connection tries again
		k.failed = err.Error()
		slog.Error("the certificate stays as it was", "error", err)
	}
	return k.held
}

// refresh reads the files again if one of them is not the one that is held, after the device has renewed its own: a file that cannot be
// used now may be without a change of its time. Called with the mutex held.
func (k *Keeper) refresh() error {
	if k.renew != nil {
		if err := k.renew(); err != nil {
			return err
		}
	}
	changed := [2]time.Time{changedAt(k.cert), changedAt(k.key)}
	if k.held != nil && changed == k.read {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s cannot be used: %w", k.cert, k.key, err)
	}
	k.held, k.read = &pair, changed
	return nil
}

func changedAt(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{} // reading it says why
	}
	return info.ModTime()
}

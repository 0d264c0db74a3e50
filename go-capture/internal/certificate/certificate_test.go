// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"visavis/capture/internal/waiting"
)

var names = []string{"porch", "porch.local", "localhost"}

func TestMain(m *testing.M) { waiting.ForGoroutines(m) }

func selfMade(t *testing.T, file string, names []string) *Keeper {
	t.Helper()
	made, err := SelfMade(file, names)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// shown is the certificate that a client gets when it asks for a name; the handshake is a real one.
func shown(t *testing.T, k *Keeper, trusted *x509.CertPool, name string) (*x509.Certificate, error) {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	served := make(chan error, 1)
	go func() { served <- tls.Server(there, k.Config()).Handshake() }()
	client := tls.Client(here, &tls.Config{RootCAs: trusted, ServerName: name})
	if err := client.Handshake(); err != nil {
		here.Close()
		<-served
		return nil, err
	}
	<-served
	return client.ConnectionState().PeerCertificates[0], nil
}

func trusting(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s holds no certificate", file)
	}
	return pool
}

// makeFile leaves a certificate that was made at a time.
func makeFile(t *testing.T, file string, at time.Time) {
	t.Helper()
	text, err := made(names, at)
	if err == nil {
		err = keep(file, text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestADevicesOwnCertificateIsGoodForItsNamesAndAddressesAndNoOthers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "certificates", "porch.pem")
	made := selfMade(t, file, names)
	for _, name := range append(slices.Clone(names), "127.0.0.1", "::1") {
		if _, err := shown(t, made, trusting(t, file), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := shown(t, made, trusting(t, file), "bank.example"); err == nil {
		t.Error("it is good for any name")
	}
	held, _ := x509.ParseCertificate(made.current().Certificate[0])
	if held.IsCA || held.NotAfter.Sub(held.NotBefore) > lifetime {
		t.Errorf("it may sign others: %t; it lasts %v", held.IsCA, held.NotAfter.Sub(held.NotBefore))
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v", info.Mode())
	}
}

func TestItStaysTheSameUntilANameIsMissing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "porch.pem")
	first := selfMade(t, file, names).Fingerprint()
	if again := selfMade(t, file, names).Fingerprint(); again != first {
		t.Error("a restart makes another: whoever accepted the first would be asked again")
	}
	if other := selfMade(t, file, append(names, "porch.example.org", "192.0.2.99")).Fingerprint(); other == first {
		t.Error("a new name is not in it")
	}
	if _, err := shown(t, selfMade(t, file, append(names, "192.0.2.99")), trusting(t, file), "192.0.2.99"); err != nil {
		t.Errorf("an address among the names: %v", err)
	}
}

func TestItIsMadeAgainWhereItsKeyIsNotWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "porch.pem")
	first := selfMade(t, file, names).Fingerprint()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key := bytes.Index(text, []byte("-----BEGIN PRIVATE KEY"))
	for _, end := range []int{key, key + 60} {
		if err := os.WriteFile(file, text[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		if selfMade(t, file, names).Fingerprint() == first {
			t.Error("the page has a certificate without its key")
		}
	}
}

func TestItIsMadeAgainBeforeItEndsAndAfterTheClockWasWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "porch.pem")
	now := time.Now()
	for what, c := range map[string]struct {
		made time.Time
		good bool
	}{
		"made today": {now, true}, "made two years ago": {now.Add(-740 * 24 * time.Hour), now.Before(earliest.Add(lifetime - renewBefore))},
		"about to end": {now.Add(-lifetime), now.Before(earliest.Add(lifetime - renewBefore))}, "made in the future": {now.Add(1000 * time.Hour), false},
		"made in 1970": {time.Unix(0, 0), now.Before(earliest.Add(lifetime - renewBefore))},
	} {
		makeFile(t, file, c.made)
		if _, err := keptFor(file, names, now); (err == nil) != c.good {
			t.Errorf("%s: %v", what, err)
		}
	}
	makeFile(t, file, now)
	if _, err := keptFor(file, names, now.Add(lifetime-renewBefore)); err == nil {
		t.Error("it is kept to its last day")
	}
	if _, err := keptFor(file, names, time.Unix(0, 0)); err != nil {
		t.Errorf("a board that does not know the time yet makes another at each start: %v", err)
	}
}

func TestACertificateOfAClockThatWasAheadIsMadeAgainWhenTheClockIsRight(t *testing.T) {
	now := time.Now().AddDate(70, 0, 0)
	kept, err := selfMadeBy(func() time.Time { return now }, filepath.Join(t.TempDir(), "web.pem"), names)
	if err != nil {
		t.Fatal(err)
	}
	ahead := kept.Fingerprint()
	now = time.Now()
	right := kept.Fingerprint()
	if right == ahead {
		t.Error("it is one that nobody accepts before 2096")
	}
	if now = now.Add(time.Hour); kept.Fingerprint() != right {
		t.Error("it does not stay")
	}
}

func TestFilesThatAreRenewedAreUsedWithoutARestart(t *testing.T) {
	folder := t.TempDir()
	old, fresh := filepath.Join(folder, "web.pem"), filepath.Join(folder, "fresh.pem")
	selfMade(t, old, names)
	kept, err := FromFiles(old, old, names)
	if err != nil {
		t.Fatal(err)
	}
	before, at := kept.Fingerprint(), time.Now().Add(-time.Hour)
	if err := os.Chtimes(old, at, at); err != nil {
		t.Fatal(err)
	}
	if kept.Fingerprint() != before {
		t.Error("another time makes another certificate")
	}
	if err := os.WriteFile(old, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept.Fingerprint() != before {
		t.Error("a file that is half written is used")
	}
	want := selfMade(t, fresh, names).Fingerprint()
	if err := os.Rename(fresh, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(old, at, at); err != nil { // as cp -p, which keeps times
		t.Fatal(err)
	}
	if kept.Fingerprint() != want {
		t.Error("the renewed certificate is not used")
	}
}

func TestAFileThatCouldNotBeUsedIsTriedAgainThoughItsTimeStaysTheSame(t *testing.T) {
	folder := t.TempDir()
	used, fresh := filepath.Join(folder, "web.pem"), filepath.Join(folder, "fresh.pem")
	selfMade(t, used, names)
	kept, err := FromFiles(used, used, names)
	if err != nil {
		t.Fatal(err)
	}
	want := selfMade(t, fresh, names).Fingerprint()
	text, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Second)
	for _, state := range [][]byte{text[:len(text)/2], text} { // as after a chmod, or within one tick of the clock
		if err := errors.Join(os.WriteFile(used, state, 0o600), os.Chtimes(used, later, later)); err != nil {
			t.Fatal(err)
		}
		if kept.Fingerprint() == want && len(state) < len(text) {
			t.Fatal("half a file is used")
		}
	}
	if kept.Fingerprint() != want {
		t.Error("the renewed certificate is not used")
	}
}

func TestOneConnectionAloneWaitsForADiskThatHangs(t *testing.T) {
	file, hangs, goesOn := filepath.Join(t.TempDir(), "web.pem"), make(chan struct{}), make(chan struct{})
	makeFile(t, file, time.Now())
	started := false
	kept, err := fromFilesBy(func() time.Time { // asked while somebody looks
		if started {
			close(hangs)
			<-goesOn
		}
		return time.Now()
	}, file, file, names)
	if err != nil {
		t.Fatal(err)
	}
	started = true
	var looking sync.WaitGroup
	looking.Add(1)
	go func() { defer looking.Done(); kept.Look() }()
	<-hangs
	if kept.Fingerprint() == "" {
		t.Error("the others get no certificate")
	}
	close(goesOn)
	looking.Wait()
}

func TestFilesThatCannotBeUsedAtStartAreAFaultUntilTheyCan(t *testing.T) {
	folder := t.TempDir()
	a, b := filepath.Join(folder, "a.pem"), filepath.Join(folder, "b.pem")
	renewed := selfMade(t, b, names).Fingerprint()
	selfMade(t, a, names)
	for what, key := range map[string]string{"a key that is not there": filepath.Join(folder, "none"), "that of another certificate": b} {
		kept, err := FromFiles(a, key, names)
		if err != nil {
			t.Fatalf("%s ends the daemon: %v", what, err)
		}
		if _, err := shown(t, kept, trustingIts(kept), "porch.local"); err != nil {
			t.Errorf("%s: no certificate stands in: %v", what, err)
		}
		for range 2 { // looked at again without a change
			if kept.Look(); !strings.Contains(kept.Fault(), "install web.cert and web.key of one renewal") {
				t.Errorf("%s: the fault is %q", what, kept.Fault())
			}
		}
	}
	kept, _ := FromFiles(a, b, names)
	text, _ := os.ReadFile(b)
	if err := os.WriteFile(a, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := kept.Fingerprint(); got != renewed || kept.Fault() != "" {
		t.Errorf("a pair that fits is not used: %s, %q", got, kept.Fault())
	}
}

// trustingIts trusts what is held now, wherever it is from.
func trustingIts(k *Keeper) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(k.current().Leaf)
	return pool
}

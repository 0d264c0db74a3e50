// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"visavis/capture/internal/clock"
	"visavis/capture/internal/state"
)

const (
	lifetime    = 825 * 24 * time.Hour // Apple's devices take none that lasts longer
	renewBefore = 30 * 24 * time.Hour

	keepAgainAfter = time.Minute // where the disk took nothing
)

// earliest: a board without a battery makes its certificate before it knows the time.
var earliest = clock.Earliest

// SelfMade keeps a certificate that the device signs itself, with its key in one private file. It is made again when it lacks one
// of the names, and before it ends. Where the disk takes nothing it is in memory only: a device must not stay dark for that.
func SelfMade(file string, names []string) (*Keeper, error) { return selfMadeBy(time.Now, file, names) }

func selfMadeBy(now func() time.Time, file string, names []string) (*Keeper, error) {
	made := &ownCertificate{Keeper: newKeeper(now, file, file), names: names}
	made.renew = made.renewNow
	return made.Keeper, made.refresh()
}

// ownCertificate is what a Keeper needs for a certificate of the device's own; its fields are guarded by the Keeper's mutex.
type ownCertificate struct {
	*Keeper
	names []string
	good  period // of what is held
	draft []byte // what was made and is not on the disk yet; nil: it is
	tried time.Time
}

func (s *ownCertificate) renewNow() error {
	now := s.now()
	if s.good.holds(now) {
		if s.draft != nil && now.Sub(s.tried) >= keepAgainAfter {
			s.keepDraft()
		}
		return nil
	}
	if kept, err := keptFor(s.cert, s.names, now); err == nil {
		s.good, s.draft, s.unkept = kept, nil, nil
		return nil
	}
	return s.makeAnew(now)
}

func (s *ownCertificate) makeAnew(now time.Time) error {
	pair, text, err := madePair(s.names, now)
	if err != nil {
		return err
	}
	s.good, s.draft = periodOf(pair.Leaf), text
	if s.keepDraft(); s.unkept != nil {
		s.take(&pair, s.look())
	}
	return nil
}

func (s *ownCertificate) keepDraft() {
	s.tried, s.unkept = s.now(), keep(s.cert, s.draft)
	if s.unkept == nil {
		s.draft = nil
	}
}

func keep(file string, text []byte) error {
	if err := state.Replace(file, text); err != nil {
		return fmt.Errorf("keep the certificate that this device made: %w; until that works the next start makes another one", err)
	}
	return nil
}

// period is when a certificate need not be made again.
type period struct{ from, until time.Time }

func periodOf(c *x509.Certificate) period { return period{c.NotBefore, c.NotAfter.Add(-renewBefore)} }

// holds takes a clock that is not set for none that comes before.
func (p period) holds(now time.Time) bool {
	return !now.After(p.until) && (now.Before(earliest) || !now.Before(p.from))
}

// keptFor is the period of the certificate in the file; it fails when that must be made again now, and where its key is not whole.
func keptFor(file string, names []string, now time.Time) (period, error) {
	held, err := load(file, file)
	if err != nil {
		return period{}, err
	}
	for _, name := range names {
		if err := held.Leaf.VerifyHostname(name); err != nil {
			return period{}, err
		}
	}
	if good := periodOf(held.Leaf); good.holds(now) {
		return good, nil
	}
	return period{}, errors.New("it is not for this time: the clock was wrong when it was made, or it ends")
}

// madePair is what made gives, to serve with and as text.
func madePair(names []string, now time.Time) (tls.Certificate, []byte, error) {
	text, err := made(names, now)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pair, err := tls.X509KeyPair(text, text)
	return pair, text, err
}

// made are a certificate for the names and for the addresses that this machine has now, and its key, in PEM.
func made(names []string, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := templateFor(names, now)
	if err != nil {
		return nil, err
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

func templateFor(names []string, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	addresses, hosts := ownAddresses(), []string{}
	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			addresses = append(addresses, address)
		} else {
			hosts = append(hosts, name)
		}
	}
	begins := now.Add(-24 * time.Hour) // clocks of other machines may be behind
	if begins.Before(earliest) {
		begins = earliest
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0], Organization: []string{"visavis, made on this device"}},
		NotBefore: begins, NotAfter: begins.Add(lifetime), DNSNames: hosts, IPAddresses: addresses,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}, nil
}

// ownAddresses are those of this machine, the loopback's first.
func ownAddresses() []net.IP {
	found := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return found // its names are enough
	}
	for _, one := range addresses {
		if network, ok := one.(*net.IPNet); ok && !network.IP.IsLoopback() && !network.IP.IsLinkLocalUnicast() {
			found = append(found, network.IP)
		}
	}
	return found
}

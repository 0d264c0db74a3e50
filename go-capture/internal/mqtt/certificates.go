// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"time"

	"visavis/capture/internal/certificate"
	"visavis/capture/internal/state"
)

// tls reads the certificates; nil for plain mqtt.
func (s Settings) tls(secure bool) (*tls.Config, error) {
	if !secure {
		return nil, nil
	}
	made := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CA != "" {
		text, err := s.authorities()
		if err != nil {
			return nil, err
		}
		made.RootCAs = x509.NewCertPool()
		made.RootCAs.AppendCertsFromPEM(text)
	}
	if s.Cert != "" {
		pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
		if err != nil {
			return nil, s.says("mqtt.cert and mqtt.key: %w; "+readAgain, err)
		}
		made.Certificates = []tls.Certificate{pair}
	}
	return made, nil
}

// authorities are the certificates in PEM that may sign the broker's.
func (s Settings) authorities() ([]byte, error) {
	text, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, s.says("mqtt.ca: %w; "+readAgain, err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return nil, s.says("mqtt.ca: no PEM certificate in %s; "+readAgain, s.CA)
	}
	return text, nil
}

// readAgain is the remedy for files that cannot be used.
const readAgain = "write what belongs there, it is read again at every try (a credential by a restart)"

// CertificateFlaw is what somebody should see to in the files of certificates and of the key; nil when all is well or none is used.
func (s Settings) CertificateFlaw(now time.Time) error {
	_, secure, err := s.address()
	if err != nil {
		return err
	}
	used, err := s.tls(secure)
	if err != nil || used == nil {
		return err
	}
	for _, own := range used.Certificates {
		if err := certificate.Untimely(own.Leaf, now); err != nil {
			return s.says("mqtt.cert: %w", err)
		}
	}
	if s.CA == "" {
		return nil
	}
	if err := certificate.FlawOfAuthorities(s.CA, now); err != nil {
		return s.says("mqtt.ca: %w", err)
	}
	return nil
}

func faultOfCertificates(s Settings) *state.Fault {
	one := "a certificate of " + s.section()
	return state.NewFault(slog.String("url", s.URL), one+" needs a hand", one+" needs none any more")
}

// LookAtCertificates notes what cannot be used and what nobody has renewed in time. A connection that holds asks for none before it ends,
// and then it is too late.
func (b *Brokers) LookAtCertificates(now time.Time) {
	for _, f := range b.all {
		f.lookAtCertificates(now)
	}
}

func (l *link) lookAtCertificates(now time.Time) {
	if l.hasCertificates() {
		l.trust.Note(l.settings.CertificateFlaw(now))
	}
}

func (l *link) hasCertificates() bool { return l.settings.Cert != "" || l.settings.CA != "" }

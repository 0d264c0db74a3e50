// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

// Whoever renews certificates by themselves does so while a third of their time is left: one that has less than a fifth, or two weeks,
// was forgotten.
const (
	forgottenPart = 5
	forgottenMost = 14 * 24 * time.Hour
)

const endFormat = "2 January 2006, 15:04 UTC"

// Ending is an error when a certificate has ended, or ends so soon that somebody should see to it.
func Ending(held *x509.Certificate, now time.Time) error {
	soon := min(held.NotAfter.Sub(held.NotBefore)/forgottenPart, forgottenMost)
	at := held.NotAfter.UTC().Format(endFormat)
	switch left := held.NotAfter.Sub(now); {
	case left <= 0:
		return fmt.Errorf("it ended on %s: renew it, or set the clock if that is wrong", at)
	case left < soon:
		return fmt.Errorf("it ends on %s and was not renewed until now", at)
	}
	return nil
}

// firstIn reads the first certificate of a file in PEM.
func firstIn(file string) (*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it holds no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// LastOf is the certificate in PEM that lasts longest; nil when there is none.
func LastOf(text []byte) (last *x509.Certificate) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		one, err := x509.ParseCertificate(block.Bytes)
		if err == nil && (last == nil || one.NotAfter.After(last.NotAfter)) {
			last = one
		}
	}
	return last
}

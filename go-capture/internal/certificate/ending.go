// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Whoever renews certificates by themselves does so while a third of their time is left: one that has less than a fifth, or two weeks,
// was forgotten.
const (
	forgottenPart = 5
	forgottenMost = 14 * 24 * time.Hour
)

const endFormat = "2 January 2006, 15:04 UTC"

// ending is an error when a certificate has ended, or ends so soon that somebody should see to it.
func ending(held *x509.Certificate, now time.Time) error {
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

// Untimely is an error when a certificate has not begun yet, or as ending says. A clock that is not set counts for none that comes before.
func Untimely(held *x509.Certificate, now time.Time) error {
	if !now.Before(earliest) && now.Before(held.NotBefore) {
		return fmt.Errorf("it begins on %s: wait for that, or set the clock if that is wrong", held.NotBefore.UTC().Format(endFormat))
	}
	return ending(held, now)
}

// FlawOfAuthorities is what somebody should see to in a file of certificates that may sign others; nil when all is well. One that is good
// is enough: the one after it is often there before it begins, and the one before it after its end.
func FlawOfAuthorities(file string, now time.Time) error {
	const remedy = "write the certificate of whoever signs into it"
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%w: %s", err, remedy)
	}
	last := lastOf(text)
	if last == nil {
		return fmt.Errorf("no PEM certificate in %s: %s", file, remedy)
	}
	good := func(one *x509.Certificate) bool { return Untimely(one, now) == nil }
	if slices.ContainsFunc(allOf(text), good) {
		return nil
	}
	return Untimely(last, now)
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

// lastOf is the certificate in PEM that lasts longest; nil when there is none.
func lastOf(text []byte) (last *x509.Certificate) {
	for _, one := range allOf(text) {
		if last == nil || one.NotAfter.After(last.NotAfter) {
			last = one
		}
	}
	return last
}

// allOf are the certificates in PEM, whatever stands between them.
func allOf(text []byte) (all []*x509.Certificate) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if one, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, one)
		}
	}
	return all
}

// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto/x509"
	"encoding/pem"
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

// FlawOfAuthorities is what somebody should see to in a file of certificates that may sign others; nil when all is well. The one after
// this one is often there before it begins, and the one before it after its end.
func FlawOfAuthorities(file string, now time.Time) error {
	const remedy = "write the certificate of whoever signs into it"
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%w: %s", err, remedy)
	}
	all := allOf(text)
	if len(all) == 0 {
		return fmt.Errorf("no PEM certificate in %s: %s", file, remedy)
	}
	if held := reaching(all, now); held != nil {
		return ending(held, now)
	}
	return Untimely(lastOf(all), now)
}

// reaching is the last of the certificates that hold one after the other from now on, without a gap; nil when none holds now.
func reaching(all []*x509.Certificate, now time.Time) (held *x509.Certificate) {
	until := now
	slices.SortFunc(all, func(a, b *x509.Certificate) int { return a.NotBefore.Compare(b.NotBefore) })
	for _, one := range all {
		if !one.NotBefore.After(until) && one.NotAfter.After(until) {
			held, until = one, one.NotAfter
		}
	}
	return held
}

// lastOf is the certificate that lasts longest.
func lastOf(all []*x509.Certificate) *x509.Certificate {
	return slices.MaxFunc(all, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
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

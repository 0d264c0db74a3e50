// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/logtest"
)

func TestACertificateIsToldOfWhenNobodyRenewsItInTime(t *testing.T) {
	const day, hour = 24 * time.Hour, time.Hour
	began := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for what, c := range map[string]struct {
		lasts, passed time.Duration
		words         string
	}{
		"of 90 days, after 60":       {90 * day, 60 * day, ""},
		"of 90 days, after 77":       {90 * day, 77 * day, "it ends on 1 March 2027"},
		"of two years, after one":    {730 * day, 365 * day, ""},
		"of six days, after four":    {6 * day, 4 * day, ""},
		"of six days, after five":    {6 * day, 5 * day, "it ends on 7 December 2026"},
		"of a day, after 16 hours":   {day, 16 * hour, ""},
		"at its end":                 {90 * day, 90 * day, "it ended on 1 March 2027"},
		"a day before it begins":     {90 * day, -day, "it begins on 1 December 2026"},
		"of a clock that is not set": {90 * day, -50 * 365 * day, ""},
	} {
		err := Untimely(&x509.Certificate{NotBefore: began, NotAfter: began.Add(c.lasts)}, began.Add(c.passed))
		if (err != nil) != (c.words != "") || err != nil && !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, want %q", what, err, c.words)
		}
	}
}

func TestAuthoritiesInAFileMayFollowEachOther(t *testing.T) {
	const day = 24 * time.Hour
	now := earliest.AddDate(5, 0, 0)
	file := filepath.Join(t.TempDir(), "authorities.pem")
	for _, c := range []struct {
		begun []time.Duration // how long ago, of each certificate in the file
		words string
	}{
		{[]time.Duration{0}, ""},
		{[]time.Duration{lifetime + 2*day, 0, -9 * day}, ""}, // the last one, this one, the next one
		{[]time.Duration{-9 * day}, "it begins on"},
		{[]time.Duration{lifetime + 2*day, lifetime + 3*day}, "it ended on"},
		{[]time.Duration{lifetime - 3*day}, "was not renewed until now"},
		{[]time.Duration{lifetime - 3*day, -2 * day}, ""}, // the next one begins before this one ends
		{[]time.Duration{lifetime - 3*day, -4 * day}, "was not renewed until now"},
		{[]time.Duration{lifetime - 3*day, lifetime - 5*day}, "was not renewed until now"},
		{nil, "no PEM certificate in " + file},
	} {
		text := []byte("# ours\n")
		for _, ago := range c.begun {
			one, err := made(names, now.Add(-ago))
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, one...)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		err := FlawOfAuthorities(file, now)
		if (err != nil) != (c.words != "") || err != nil && !strings.Contains(err.Error(), c.words) {
			t.Errorf("begun before %v: %v, want %q", c.begun, err, c.words)
		}
	}
	if err := FlawOfAuthorities(file+"-", now); err == nil {
		t.Error("a file that is not there is in order")
	}
}

func looked(k *Keeper) string {
	k.Look()
	return k.Fault()
}

func TestFilesThatNobodyRenewsAreAFaultUntilSomebodyDoes(t *testing.T) {
	var log bytes.Buffer
	logtest.Hear(t, slog.NewTextHandler(&log, nil))
	file := filepath.Join(t.TempDir(), "web.pem")
	now := time.Now()
	makeFile(t, file, now)
	kept, err := fromFilesBy(func() time.Time { return now }, file, file, names)
	if err != nil {
		t.Fatal(err)
	}
	if fault := looked(kept); fault != "" {
		t.Error(fault)
	}
	now = now.Add(lifetime - 2*24*time.Hour)
	for range 3 {
		if fault := looked(kept); !strings.Contains(fault, "needs a hand: it ends on") {
			t.Errorf("before its end: %q", fault)
		}
	}
	if said := strings.Count(log.String(), "needs a hand"); said != 1 {
		t.Errorf("said %d times: %s", said, log.String())
	}
	makeFile(t, file, now)
	if fault := looked(kept); fault != "" {
		t.Errorf("renewed: %q", fault)
	}
	if !strings.Contains(log.String(), "another certificate from now on\" sha256="+kept.Fingerprint()) {
		t.Errorf("the fingerprint of the next one is not told: %s", log.String())
	}
}

func TestADiskThatTakesNothingCostsNoPage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "certificates", "porch.pem")
	blocked := filepath.Dir(file)
	if err := os.WriteFile(blocked, nil, 0o600); err != nil { // root is refused nothing else
		t.Fatal(err)
	}
	now := time.Now()
	kept, err := selfMadeBy(func() time.Time { return now }, file, names)
	if err != nil {
		t.Fatalf("the daemon does not start: %v", err)
	}
	first := kept.Fingerprint()
	if fault := looked(kept); !strings.Contains(fault, "not a directory") {
		t.Errorf("the status says %q", fault)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	now = now.Add(keepAgainAfter)
	if fault := looked(kept); fault != "" || kept.Fingerprint() != first {
		t.Errorf("with room again: %q; it stays the same: %t", fault, kept.Fingerprint() == first)
	}
	if again := selfMade(t, file, names).Fingerprint(); again != first {
		t.Error("the next start makes another: whoever accepted the first is asked again")
	}
}

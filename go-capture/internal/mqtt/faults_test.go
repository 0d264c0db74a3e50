// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAClientCertificateThatNobodyRenewsIsAFaultBeforeItEnds(t *testing.T) {
	const day = 24 * time.Hour
	ca := newAuthority(t, "house")
	mine := ca.issue("porch", time.Now().Add(90*day))
	brokers, err := NewBrokers(Settings{URL: "mqtts://127.0.0.1:1", Device: "porch", CA: ca.file, Cert: mine.certificate, Key: mine.key,
		Formats: []string{"native", "sparkplug"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"certificate of mqtt", "certificate of mqtt/sparkplug"} {
		for after, words := range map[time.Duration]string{0: "", 60 * day: "", 80 * day: "mqtt needs a hand: mqtt.cert: it ends on", 91 * day: "it ended on"} {
			brokers.LookAtCertificates(time.Now().Add(after))
			all := brokers.Faults()
			at := slices.IndexFunc(all, func(f Fault) bool { return f.Part == name })
			if at < 0 || (words == "") != (all[at].Error == "") || !strings.Contains(all[at].Error, words) {
				t.Errorf("%s after %v: %v, want %q", name, after, all, words)
			}
		}
	}
}

func TestFilesThatNoBrokerWillTakeAreAFlawThatNamesItsSetting(t *testing.T) {
	const year = 365 * 24 * time.Hour
	ca := newAuthority(t, "house")
	mine, another := ca.issue("porch", time.Now().Add(2*year)), ca.issue("porch", time.Now().Add(2*year))
	text := ca.write("text", "NOTES", []byte("no certificate"))
	good := Settings{URL: "mqtts://127.0.0.1:1", Section: "mqtt_second", CA: ca.file, Cert: mine.certificate, Key: mine.key}
	for what, c := range map[string]struct {
		spoil func(*Settings)
		after time.Duration
		words string
	}{
		"all is well":              {func(*Settings) {}, 0, ""},
		"no certificate is used":   {func(s *Settings) { *s = Settings{URL: "mqtt://127.0.0.1:1"} }, 0, ""},
		"the key of another":       {func(s *Settings) { s.Key = another.key }, 0, "mqtt_second.cert and mqtt_second.key: tls: private key does not match"},
		"a certificate that ended": {func(*Settings) {}, 2 * year, "mqtt_second.cert: it ended on"},
		"no authority in the file": {func(s *Settings) { s.CA = text }, 0, "mqtt_second.ca: no PEM certificate in"},
		"no file":                  {func(s *Settings) { s.CA += "-" }, 0, "no such file or directory; write what belongs there"},
		"an authority that ended":  {func(*Settings) {}, 3 * year / 2, "mqtt_second.ca: it ended on"},
		"one that begins later":    {func(*Settings) {}, -2 * time.Hour, "mqtt_second.cert: it begins on"},
		"an authority that does":   {func(s *Settings) { s.Cert, s.Key = "", "" }, -2 * time.Hour, "mqtt_second.ca: it begins on"},
	} {
		s := good
		c.spoil(&s)
		err := s.CertificateFlaw(time.Now().Add(c.after))
		if (err == nil) != (c.words == "") || err != nil && !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, want %q", what, err, c.words)
		}
	}
}

func TestAnAuthorityThatIsReplacedByAnotherFileIsAFaultWhileTheConnectionHolds(t *testing.T) {
	ca := newAuthority(t, "house")
	brokers, err := NewBrokers(Settings{URL: "mqtts://127.0.0.1:1", Device: "porch", CA: ca.file})
	if err != nil {
		t.Fatal(err)
	}
	fault := func() string {
		brokers.LookAtCertificates(time.Now())
		all := brokers.Faults()
		return all[slices.IndexFunc(all, func(f Fault) bool { return f.Part == "certificate of mqtt" })].Error
	}
	if said := fault(); said != "" {
		t.Error(said)
	}
	if err := os.WriteFile(ca.file, []byte("<html>not found</html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := fault(); !strings.Contains(said, "a certificate of mqtt needs a hand: mqtt.ca: no PEM certificate in "+ca.file) {
		t.Errorf("it says %q", said)
	}
}

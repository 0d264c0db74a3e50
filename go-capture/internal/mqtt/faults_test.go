// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
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
		for after, words := range map[time.Duration]string{0: "", 60 * day: "", 80 * day: "mqtt.cert needs a hand: it ends on", 91 * day: "it ended on"} {
			brokers.LookAtCertificates(time.Now().Add(after))
			all := brokers.Faults()
			at := slices.IndexFunc(all, func(f Fault) bool { return f.Part == name })
			if at < 0 || (words == "") != (all[at].Error == "") || !strings.Contains(all[at].Error, words) {
				t.Errorf("%s after %v: %v, want %q", name, after, all, words)
			}
		}
	}
}

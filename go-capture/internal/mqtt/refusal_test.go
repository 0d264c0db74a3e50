// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/waiting"
)

// secureBroker is a broker that speaks TLS with a certificate of the given CA.
func secureBroker(t *testing.T, ca *authority, own pair, more string) (*broker, Settings) {
	t.Helper()
	b := startBroker(t, fmt.Sprintf("%s\ncafile %s\ncertfile %s\nkeyfile %s\n%s", anybody, ca.file, own.certificate, own.key, more))
	b.start()
	_, port, err := net.SplitHostPort(b.address)
	if err != nil {
		t.Fatal(err)
	}
	return b, Settings{URL: "mqtts://localhost:" + port, Prefix: "visavis", Device: "porch", CA: ca.file}
}

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

// connects reports whether a publisher with these settings gets in, and why not.
func connects(t *testing.T, s Settings) error {
	t.Helper()
	p := newPublisher(t, s)
	p.patience = waiting.Most
	client, err := p.connect(context.Background(), p.will(), make(chan error, 1))
	if err == nil {
		client.Disconnect(disconnectMs)
	}
	return err
}

func TestABrokerWithACertificateOfOurCAIsAccepted(t *testing.T) {
	ca := newAuthority(t, "house")
	_, settings := secureBroker(t, ca, ca.issue("localhost", inAnHour()), "")
	p := newPublisher(t, settings)
	run(t, p)
	waiting.Until(t, "connected over TLS", p.Connected)
}

func TestEveryRefusalNamesTheSettingThatHelps(t *testing.T) {
	ca, other := newAuthority(t, "house"), newAuthority(t, "other")
	secure, good := secureBroker(t, ca, ca.issue("localhost", inAnHour()), "")
	_, foreign := secureBroker(t, ca, ca.issue("cellar", inAnHour()), "")
	_, expired := secureBroker(t, ca, ca.issue("localhost", time.Now().Add(-time.Minute)), "")
	_, strict := secureBroker(t, ca, ca.issue("localhost", inAnHour()), "require_certificate true")
	plain := startBroker(t, "allow_anonymous false")
	plain.start()
	for name, c := range map[string]struct {
		settings Settings
		words    []string
	}{
		"another CA":        {with(good, func(s *Settings) { s.CA = other.file }), []string{"unknown authority", "set mqtt.ca"}},
		"the system's CAs":  {with(good, func(s *Settings) { s.CA = "" }), []string{"unknown authority", "set mqtt.ca"}},
		"another name":      {foreign, []string{"cellar, not localhost", "write a name"}},
		"no name":           {with(good, func(s *Settings) { s.URL = "mqtts://" + secure.address }), []string{"127.0.0.1", "write a name"}},
		"an old one":        {expired, []string{"expired", "clock"}},
		"no certificate":    {strict, []string{"mqtt.cert and mqtt.key"}},
		"TLS where none is": {with(good, func(s *Settings) { s.URL = "mqtts://" + plain.address }), []string{"8883", "mqtt.url"}},
		"no TLS where it is": {with(plain.settings(), func(s *Settings) { s.URL = "mqtt://" + secure.address }),
			[]string{"8883", "mqtt.url"}},
		"nobody there": {Settings{URL: "mqtt://127.0.0.1:1", Device: "porch"}, []string{"refused", "mqtt.url", "the broker runs"}},
		"no user":      {plain.settings(), []string{"mqtt.user", "mqtt.password_file"}},
	} {
		err := connects(t, c.settings)
		if err == nil {
			t.Errorf("%s: connected", name)
			continue
		}
		for _, word := range append(c.words, "connect to mqtt") {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q is not in: %v", name, word, err)
			}
		}
		if strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: broken text: %v", name, err)
		}
	}
}

func with(s Settings, change func(*Settings)) Settings {
	change(&s)
	return s
}

func TestACertificateOfOurOwnOpensABrokerThatWantsOne(t *testing.T) {
	ca := newAuthority(t, "house")
	_, settings := secureBroker(t, ca, ca.issue("localhost", inAnHour()), "require_certificate true")
	own := ca.issue("porch", inAnHour())
	settings.Cert, settings.Key = own.certificate, own.key
	if err := connects(t, settings); err != nil {
		t.Fatal(err)
	}
}

func TestACertificateThatIsRenewedNeedsNoRestart(t *testing.T) {
	ca := newAuthority(t, "house")
	_, settings := secureBroker(t, ca, ca.issue("localhost", inAnHour()), "require_certificate true")
	old, fresh := ca.issue("porch", time.Now().Add(-time.Minute)), ca.issue("porch", inAnHour())
	settings.Cert, settings.Key = old.certificate, old.key
	p := newPublisher(t, settings)
	run(t, p)
	waiting.Until(t, "the old one is refused", func() bool { return p.Error() != "" })
	for from, to := range map[string]string{fresh.key: old.key, fresh.certificate: old.certificate} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	waiting.Until(t, "the new one is taken", p.Connected)
}

// What a renewal left behind half done must not keep the device from starting: the cameras and the page need no broker.
func TestFilesThatARenewalLeftHalfDoneAreReadAgain(t *testing.T) {
	ca := newAuthority(t, "house")
	_, settings := secureBroker(t, ca, ca.issue("localhost", inAnHour()), "require_certificate true")
	old, fresh := ca.issue("porch", inAnHour()), ca.issue("porch", inAnHour())
	settings.CA, settings.Cert, settings.Key = filepath.Join(t.TempDir(), "ca.pem"), fresh.certificate, old.key
	writeFile(t, settings.CA, "")
	p := newPublisher(t, settings)
	run(t, p)
	for _, step := range []struct{ named, from, to string }{
		{"mqtt.ca: no PEM certificate", ca.file, settings.CA},
		{"mqtt.cert and mqtt.key: ", fresh.key, old.key},
	} {
		waiting.Until(t, step.named, func() bool { return strings.HasPrefix(p.state().Error, step.named) })
		if why := p.state().Error; !strings.Contains(why, "; ") {
			t.Errorf("no remedy in %q", why)
		}
		if err := os.Rename(step.from, step.to); err != nil {
			t.Fatal(err)
		}
	}
	waiting.Until(t, "connected with what is whole again", p.Connected)
}

// setPassword writes the broker's own file with the broker's own program.
func setPassword(t *testing.T, file, user, password string) {
	t.Helper()
	writeFile(t, file, "")
	setPasswordIn(t, file, user, password)
}

// setPasswordIn leaves the file's other users.
func setPasswordIn(t *testing.T, file, user, password string) {
	t.Helper()
	if out, err := exec.Command("mosquitto_passwd", "-b", file, user, password).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
}

func TestAWrongPasswordIsTriedAgainUntilTheBrokerTakesIt(t *testing.T) {
	users, ours := filepath.Join(t.TempDir(), "users"), filepath.Join(t.TempDir(), "password")
	setPassword(t, users, "porch", "at first another one")
	if err := os.WriteFile(ours, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := startBroker(t, "allow_anonymous false\npassword_file "+users)
	b.start()
	settings := b.settings()
	settings.User, settings.PasswordFile = "porch", ours
	if err := connects(t, settings); err == nil || !strings.Contains(err.Error(), "mqtt.password_file") {
		t.Fatalf("error %v, want one that names mqtt.password_file", err)
	}
	p := newPublisher(t, settings)
	run(t, p)
	waiting.Until(t, "the publisher was refused and has tried again", func() bool { return strings.Count(b.log(), "not authorised") > 2 })
	if p.Connected() {
		t.Fatal("connected with a wrong password")
	}
	if why := p.Error(); !strings.Contains(why, "mqtt.password_file") {
		t.Fatalf("Error() is %q, want the sentence that names mqtt.password_file", why)
	}
	setPassword(t, users, "porch", "secret")
	b.signal(syscall.SIGHUP) // mosquitto reads its users again
	waiting.Until(t, "it comes back by itself", p.Connected)
	if why := p.Error(); why != "" {
		t.Fatalf("Error() is still %q", why)
	}
}

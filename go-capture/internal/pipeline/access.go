// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/certificate"
	"visavis/capture/internal/config"
	"visavis/capture/internal/state"
	"visavis/capture/internal/systemd"
)

const (
	// runTokenVariable brings a token from `visavis run`, which shows figures of a device that wants logins.
	runTokenVariable = "VISAVIS_RUN_TOKEN"
	// runTokenFile holds one for root, in the folder that systemd makes for the daemon and nobody else may enter.
	runTokenFile = "token"
	// CredentialsName is the file of the credentials in the daemon's folder, where auth.file names none.
	CredentialsName = "credentials.toml"
)

// CredentialsFile is where the credentials of a configuration are.
func CredentialsFile(c *config.Config) (auth.File, error) {
	if c.Auth.File != "" {
		return auth.File{Path: c.Auth.File}, nil
	}
	folder, err := state.Folder()
	return auth.File{Path: filepath.Join(folder, CredentialsName)}, err
}

// certificateOf is what the page is encrypted with; nil = it is not.
func certificateOf(c *config.Config) (*certificate.Keeper, error) {
	if !c.Web.HTTPS {
		return nil, nil
	}
	if c.Web.Cert != "" {
		return certificate.FromFiles(c.Web.Cert, c.Web.Key, pageNames(c))
	}
	folder, err := state.Folder()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "certificates", c.Device.ID+".pem")
	kept, err := certificate.SelfMade(file, pageNames(c))
	if err != nil {
		return nil, err
	}
	slog.Info("the page has a certificate of this device's own; compare it once", "sha256", kept.Fingerprint(), "file", file)
	return kept, nil
}

// CertificateFlaws are what would be wrong with the certificates and keys that a configuration names if the daemon and its workers ran
// now. They run all the same: whoever renews them need not restart the daemon.
func CertificateFlaws(c *config.Config, now time.Time) (flaws []error) {
	if c.Web.Cert != "" {
		if err := certificate.Flaw(c.Web.Cert, c.Web.Key, now); err != nil {
			flaws = append(flaws, fmt.Errorf("web.cert: %w", err))
		}
	}
	if err := flawOfServersAuthorities(c.Detector, now); err != nil {
		flaws = append(flaws, fmt.Errorf("detector.kserve_ca: %w", err))
	}
	for _, broker := range mqttSettings(c, "") {
		if err := broker.CertificateFlaw(now); err != nil {
			flaws = append(flaws, err)
		}
	}
	return flaws
}

// flawOfServersAuthorities is about what workers know their model server by, where that is encrypted.
func flawOfServersAuthorities(d config.Detector, now time.Time) error {
	encrypted := strings.HasPrefix(d.KServeURL, "https:") || strings.HasPrefix(d.KServeURL, "grpcs:")
	if d.Backend != "kserve" || d.KServeCA == "" || !encrypted {
		return nil
	}
	return certificate.FlawOfAuthorities(d.KServeCA, now)
}

// encryption is how the page is served; nil = as it is.
func (a *Appliance) encryption() *tls.Config {
	if a.certificate == nil {
		return nil
	}
	return a.certificate.Config()
}

func scheme(c *config.Config) string {
	if c.Web.HTTPS {
		return "https"
	}
	return "http"
}

// pageURL is where other machines find the page, "" when none can. A device that listens everywhere is found by the name
// that its machine announces.
func pageURL(c *config.Config) string {
	host, port, err := net.SplitHostPort(c.Web.Listen)
	if err != nil || !c.BeyondLoopback() {
		return ""
	}
	if address := net.ParseIP(host); address == nil || address.IsUnspecified() {
		_, name := hostNames()
		host = cmp.Or(name, c.Device.ID) + ".local"
	}
	return scheme(c) + "://" + net.JoinHostPort(host, port) + "/"
}

func sessionMost(c *config.Config) time.Duration {
	return time.Duration(c.Auth.SessionDays) * 24 * time.Hour
}

// openGate reads the credentials; nil when the configuration wants no login.
func openGate(c *config.Config) (*auth.Gate, error) {
	if !c.Auth.Enabled {
		return nil, nil
	}
	file, err := CredentialsFile(c)
	if err != nil {
		return nil, err
	}
	folder, err := state.Folder()
	if err != nil {
		return nil, err
	}
	kept := filepath.Join(folder, "sessions", c.Device.ID)
	return auth.Open(auth.Settings{
		File: file, Sessions: kept + ".json", Friends: kept + ".friends.json", SessionIdle: time.Duration(c.Auth.SessionIdleH) * time.Hour,
		SessionMost: sessionMost(c), RunToken: runToken(),
	})
}

// runToken lets whoever started the daemon look at its figures; "" lets nobody. It is another one at each start.
func runToken() string {
	folder := systemd.RuntimeFolder()
	if given := os.Getenv(runTokenVariable); given != "" || folder == "" {
		return given
	}
	token, file := rand.Text(), filepath.Join(folder, runTokenFile)
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		slog.Warn("root has no token to look at the status: is "+folder+" full, or not the daemon's?", "error", err)
		return ""
	}
	return token
}

// welcome says how a device without an administrator gets one. Where only this machine can reach it, the command is enough.
func (a *Appliance) welcome() error {
	c, gate := a.config, a.gate
	switch {
	case gate == nil:
	case gate.HasAdmin():
		noteCodeOf(c.Auth.ClaimCodeFile, gate)
	case !c.BeyondLoopback():
		slog.Warn("nobody is an administrator yet: visavis auth add NAME --role admin")
	case c.Auth.ClaimCodeFile != "":
		return offerCodeOf(c.Auth.ClaimCodeFile, gate)
	default:
		slog.Warn("nobody is an administrator yet: open /claim on the page within 15 minutes", "code", gate.OfferClaim())
	}
	return nil
}

// offerCodeOf names the file only where there is one: without, the setting may be the code itself.
func offerCodeOf(file string, gate *auth.Gate) error {
	if _, err := os.Lstat(file); err != nil {
		return config.NoSecretFile("auth.claim_code_file", err)
	}
	code, err := os.ReadFile(file)
	if err == nil {
		err = gate.OfferKnownClaim(string(code))
	}
	if errors.Is(err, auth.ErrUsed) {
		slog.Warn("nobody is an administrator, and the device's code was used before: write a new one into the file and restart visavis, "+
			"or visavis auth add NAME --role admin", "file", file)
		return nil
	}
	if err != nil {
		return fmt.Errorf("auth.claim_code_file: read %s: %w", file, err)
	}
	slog.Warn("nobody is an administrator yet: open /claim on the page with the device's code", "file", file)
	return nil
}

// noteCodeOf takes the code for used with which the device may have got its administrator. A file that is not there any more needs no
// word, nor does one that holds no code.
func noteCodeOf(file string, gate *auth.Gate) {
	if _, err := os.Lstat(file); err != nil {
		return
	}
	code, err := os.ReadFile(file)
	if err == nil {
		err = gate.NoteKnownClaim(string(code))
	}
	if err != nil {
		slog.Warn("the device's claim code may count again once nobody is an administrator", "file", file, "error", err)
	}
}

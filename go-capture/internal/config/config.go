// SPDX-License-Identifier: Apache-2.0

// Package config reads the settings: files, environment and flags become one checked Config, or the list of all problems.
//
// The way of a setting:
//
//  1. a file is parsed, each key keeps its line           document
//  2. conf.d, environment and flags are laid over it      document, override
//  3. each value is checked against its rule              reader, rule, formats
//  4. what was not set follows a recommendation           recommended
//  5. settings that depend on each other are checked      semantics
package config

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strings"

	"visavis/capture/internal/hostname"
	"visavis/capture/internal/secretfile"
)

// Program is who reads a configuration.
type Program struct {
	Version       string // of the release: what `visavis model bench` recommended under another one does not count, and under "" nothing does
	ForWorker     bool   // it may not see the secrets that it has no use for
	NoCredentials bool   // systemd gives credentials to the service alone: whether they are there is not asked
	Starts        bool   // it runs: files that settings name may be missing, for whoever uses them tells of it and tries again
	NoDemo        bool   // a configuration that says nothing of cameras has none
}

// Load is Program.Load for who neither captures nor infers.
func Load(path string, env []string, overrides map[string]string) (*Config, error) {
	return Program{}.Load(path, env, overrides)
}

// Load reads the file at path, conf.d/*.toml beside it, VISAVIS_* of env (as os.Environ gives it) and overrides from
// flags ("web.listen" -> value as in the environment). An empty path means no file: the defaults hold.
// For a worker, whether the files that settings name can be read is not asked, and a credential keeps its name; only [detector] may name
// those of the worker's own service.
// The error is a Problems that holds everything that is wrong.
func (p Program) Load(path string, env []string, overrides map[string]string) (*Config, error) {
	var problems Problems
	doc := newDocument(&problems)
	doc.readFiles(path)
	if !p.NoDemo {
		doc.addDemo()
	}
	doc.override(env, overrides)
	r := &reader{problems: &problems, set: map[string]setting{}, secrets: credentialsFolder(env), blind: p.ForWorker, unasked: p.NoCredentials,
		starts: p.Starts}
	made := r.config(doc)
	r.takeRecommended(made, env, p.Version)
	r.checkTogether(made)
	if len(problems) > 0 {
		problems.sort()
		return nil, problems
	}
	return made, nil
}

// JSON is the effective configuration as `visavis-capture -effective` prints it. It holds no secret: those stand in files,
// and only the paths of the files are settings.
func (c *Config) JSON() ([]byte, error) { return json.MarshalIndent(c, "", "  ") }

// Differs names the sections that another configuration has otherwise; cameras are none.
func (c *Config) Differs(other *Config) (sections []string) {
	one, next := reflect.ValueOf(c).Elem(), reflect.ValueOf(other).Elem()
	for i := range one.NumField() {
		name := one.Type().Field(i).Tag.Get("toml")
		if name != "camera" && !reflect.DeepEqual(one.Field(i).Interface(), next.Field(i).Interface()) {
			sections = append(sections, name)
		}
	}
	return sections
}

// Shown is the source as logs and answers may show it: of a network camera what follows the host is left out, because cameras that
// know no other way take their password there.
func (c Camera) Shown() string {
	scheme, _, network := strings.Cut(c.Source, "://")
	if !network {
		return c.Source
	}
	shown := scheme + "://"
	if address, err := url.Parse(c.Source); err == nil {
		shown += address.Host
	}
	if shown == c.Source {
		return shown
	}
	return shown + "/…"
}

// Where a login goes in the address of a camera that wants it there.
const (
	userPlace     = "{user}"
	passwordPlace = "{password}"
)

// Address returns the source with the camera's user and password put in, for the opener alone: never log it.
// It reads password_file each time, so that a changed password needs no restart.
func (c Camera) Address() (string, error) {
	password, err := c.password()
	if err != nil {
		return "", fmt.Errorf("camera %s: password_file: %w", c.ID, err)
	}
	source := lookedUp(c.Source)
	if c.hasPlaces() {
		return forOpener(strings.NewReplacer(userPlace, escaped(c.User), passwordPlace, escaped(password)).Replace(source)), nil
	}
	if c.User == "" {
		return forOpener(source), nil
	}
	address, err := url.Parse(source)
	if err != nil {
		return "", fmt.Errorf("camera %s: source: %w", c.ID, err)
	}
	address.User = url.User(c.User)
	if c.PasswordFile != "" {
		address.User = url.UserPassword(c.User, password)
	}
	return forOpener(address.String()), nil
}

// zoned is an address up to the zone of its link-local host, as URLs write it, and the rest of that host.
var zoned = regexp.MustCompile(`^([a-z]+://(?:[^/?#]*@)?\[[0-9A-Fa-f:.]+%)25([^/?#\]]+\])`)

// forOpener writes the zone of a link-local address as FFmpeg does, which decodes nothing: [fe80::1%eth0] of [fe80::1%25eth0].
func forOpener(address string) string { return zoned.ReplaceAllString(address, "$1$2") }

// named is an address whose host is a name, up to that and the name.
var named = regexp.MustCompile(`^([a-z]+://(?:[^/?#]*@)?)([^/?#:@\[\]]+)`)

// lookedUp writes the name of a host in ASCII, as FFmpeg wants it.
func lookedUp(source string) string {
	parts := named.FindStringSubmatch(source)
	if parts == nil {
		return source
	}
	host, err := url.PathUnescape(parts[2])
	if err == nil {
		host, err = hostname.ASCII(host)
	}
	if err != nil {
		return source // no name: it is not found
	}
	return parts[1] + host + source[len(parts[0]):]
}

// hasPlaces tells whether the source itself says where the login goes.
func (c Camera) hasPlaces() bool {
	return c.network() && (strings.Contains(c.Source, userPlace) || strings.Contains(c.Source, passwordPlace))
}

func (c Camera) network() bool { return strings.HasPrefix(c.Source, "rtsp") }

func (c Camera) password() (string, error) {
	if c.PasswordFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", err
	}
	secret, err := secretfile.Bytes(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.PasswordFile, err)
	}
	return secret, nil
}

// escaped is a text as it may stand in a path and behind a question mark.
func escaped(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

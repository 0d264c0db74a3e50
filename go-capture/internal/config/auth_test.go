// SPDX-License-Identifier: Apache-2.0

package config

import (
	"path/filepath"
	"testing"
)

func TestWhoeverWritesTheSectionAuthWantsLogins(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "[auth]\n": true, "[auth]\nsession_days = 7\n": true, "[auth]\nenabled = true\n": true, "[auth]\nenabled = false\n": false,
	} {
		if got := load(t, write(t, text)).Auth.Enabled; got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
	if !load(t, write(t, ""), "VISAVIS_AUTH__ENABLED=true").Auth.Enabled || load(t, write(t, "[auth]\n"), "VISAVIS_AUTH__ENABLED=false").Auth.Enabled {
		t.Error("the environment does not win")
	}
	if load(t, write(t, ""), "VISAVIS_AUTH__SESSION_DAYS=7").Auth.Enabled {
		t.Error("a variable about logins is no section in a file, and nobody could log in")
	}
}

func TestWithLoginsThePageMayListenEverywhere(t *testing.T) {
	for _, listen := range []string{":8080", "0.0.0.0:8080", "[::]:8080", "192.0.2.7:80"} {
		if !load(t, write(t, "[web]\nlisten = \""+listen+"\"\n[auth]\n")).BeyondLoopback() {
			t.Errorf("%s counts as loopback", listen)
		}
	}
	for _, listen := range []string{"127.0.0.1:0", "[::1]:8080", "localhost:80", "127.9.9.9:80"} {
		if load(t, write(t, "[web]\nlisten = \""+listen+"\"\n")).BeyondLoopback() {
			t.Errorf("%s counts as reachable", listen)
		}
	}
}

func TestGRPCListensBeyondLoopbackOnlyWithLogins(t *testing.T) {
	for text, fine := range map[string]bool{
		"grpc_listen = \"127.0.0.1:8001\"\n": true, "grpc_listen = \"0.0.0.0:8001\"\n": false, "grpc_listen = \"0.0.0.0:8001\"\n[auth]\n": true,
	} {
		if _, err := Load(write(t, "[gateway]\n"+text), nil, nil); (err == nil) != fine {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestACertificateTurnsHTTPSOnAndItsPathIsSeenFromTheFile(t *testing.T) {
	path := write(t, "[web]\ncert = \"web.pem\"\nkey = \"web.pem\"\n[auth]\nfile = \"mine.toml\"\n")
	put(t, filepath.Join(filepath.Dir(path), "web.pem"), "not looked at here")
	made := load(t, path)
	if !made.Web.HTTPS || made.Web.Cert != filepath.Join(filepath.Dir(path), "web.pem") || made.Auth.File != filepath.Join(filepath.Dir(path), "mine.toml") {
		t.Errorf("%+v %+v", made.Web, made.Auth)
	}
}

// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"visavis/capture/internal/logtest"
)

func TestRootFindsATokenThatOnlyLooksAndHoldsUntilTheNextStart(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("RUNTIME_DIRECTORY", folder)
	first, before := startedFor(t, folder)
	answers(t, first, http.MethodGet, "/api/v1/status", before, http.StatusOK)
	answers(t, first, http.MethodPost, "/api/v1/detect", before, http.StatusForbidden)
	answers(t, first, http.MethodGet, "/api/v1/status", "", http.StatusUnauthorized)
	second, after := startedFor(t, folder)
	answers(t, second, http.MethodGet, "/api/v1/status", after, http.StatusOK)
	answers(t, second, http.MethodGet, "/api/v1/status", before, http.StatusUnauthorized)
	if info, err := os.Stat(filepath.Join(folder, runTokenFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v", info.Mode(), err)
	}
}

func TestAFolderThatTakesNoTokenLetsNobodyInAndTheDeviceStarts(t *testing.T) {
	var log bytes.Buffer
	logtest.Hear(t, slog.NewTextHandler(&log, nil))
	t.Setenv("RUNTIME_DIRECTORY", filepath.Join(t.TempDir(), "none"))
	appliance := configured(t, "VISAVIS_AUTH__ENABLED=true", "VISAVIS_AUTH__FILE="+filepath.Join(t.TempDir(), "credentials.toml"))
	answers(t, appliance.web.Handler(), http.MethodGet, "/api/v1/status", "", http.StatusUnauthorized)
	if !strings.Contains(log.String(), "root has no token to look at the status") {
		t.Errorf("the log says %q", log.String())
	}
}

// startedFor is a device that wants logins and has none, and the token that it leaves in its folder.
func startedFor(t *testing.T, folder string) (http.Handler, string) {
	t.Helper()
	appliance := configured(t, "VISAVIS_AUTH__ENABLED=true", "VISAVIS_AUTH__FILE="+filepath.Join(folder, "credentials.toml"))
	token, err := os.ReadFile(filepath.Join(folder, runTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	return appliance.web.Handler(), string(token)
}

// answers asks as a program of this machine that sends this token.
func answers(t *testing.T, handler http.Handler, method, path, token string, want int) {
	t.Helper()
	request := httptest.NewRequest(method, "http://127.0.0.1:8080"+path, nil)
	request.Header.Set("Authorization", "Bearer "+token)
	got := httptest.NewRecorder()
	handler.ServeHTTP(got, request)
	if got.Code != want {
		t.Errorf("%s %s with the token %q: %d, want %d", method, path, token, got.Code, want)
	}
}

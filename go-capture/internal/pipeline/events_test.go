// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"visavis/capture/internal/config"
	"visavis/capture/internal/outbox"
	"visavis/capture/internal/state"
)

func TestADeviceThatIsRenamedInItsFileKeepsWhatWasOrdered(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("VISAVIS_STATE_DIR", folder)
	started := func(id string) {
		settings, err := config.Load("", []string{"VISAVIS_DEVICE__ID=" + id}, nil)
		if err != nil {
			t.Fatal(err)
		}
		appliance, err := New(settings, "/etc/visavis/config.toml", "test")
		if err != nil {
			t.Fatal(err)
		}
		appliance.gateway.Close()
	}
	started("attic")
	orders := filepath.Join(folder, "orders")
	if err := os.MkdirAll(orders, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(orders, "attic.json"), []byte(`{"version":1,"cameras":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	started("cellar")
	if _, err := os.Stat(filepath.Join(orders, "cellar.json")); err != nil {
		t.Error(err)
	}
}

func TestEventsForABrokerOfBeforeAgeWhereNoneIsToldAnyMore(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("VISAVIS_STATE_DIR", folder)
	for name, events := range map[string]int{"porch": 1, "porch.frigate": 0} {
		waiting, err := outbox.Open(outbox.Settings{Folder: filepath.Join(folder, "outbox", name)})
		if err != nil {
			t.Fatal(err)
		}
		for range events {
			if err := waiting.Append("porch/events", []byte("{}")); err != nil {
				t.Fatal(err)
			}
		}
		if err := waiting.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	a := &Appliance{config: &config.Config{Device: config.Device{ID: "porch"}}}
	closeOutbox, err := a.openOutbox()
	if err != nil {
		t.Fatal(err)
	}
	if !state.Held(filepath.Join(folder, "outbox", "porch")) {
		t.Error("nobody lets the events grow old")
	}
	if _, err := os.Stat(filepath.Join(folder, "outbox", "porch.frigate")); err == nil {
		t.Error("a folder in which nothing waits stays")
	}
	if err := closeOutbox(context.Background()); err != nil || state.Held(filepath.Join(folder, "outbox", "porch")) {
		t.Error("the end leaves it open", err)
	}
}

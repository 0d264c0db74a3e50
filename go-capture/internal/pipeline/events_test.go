// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"visavis/capture/internal/config"
	"visavis/capture/internal/outbox"
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

func TestEventsForABrokerOfBeforeGoWhereNoneIsToldAnyMore(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("VISAVIS_STATE_DIR", folder)
	for _, name := range []string{"porch", "porch.frigate"} {
		waiting, err := outbox.Open(outbox.Settings{Folder: filepath.Join(folder, "outbox", name)})
		if err != nil {
			t.Fatal(err)
		}
		if err := waiting.Append("porch/events", []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if err := waiting.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	a := &Appliance{config: &config.Config{Device: config.Device{ID: "porch"}}}
	if _, err := a.openOutbox(); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(folder, "outbox", "*", "*.events")); err != nil || len(left) != 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

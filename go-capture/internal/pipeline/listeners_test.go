// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"visavis/capture/internal/logtest"
)

func TestADaemonWhoseAddressIsTakenGreetsNobody(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, setting := range []string{"WEB__LISTEN", "GATEWAY__GRPC_LISTEN"} {
		for _, greeting := range []string{"serving", "nobody is an administrator"} {
			t.Setenv("VISAVIS_STATE_DIR", t.TempDir())
			said := &lines{text: greeting}
			logtest.Hear(t, slog.NewTextHandler(said, nil))
			appliance := configured(t, "VISAVIS_AUTH__ENABLED=true", "VISAVIS_MQTT__URL=", "VISAVIS_WEB__LISTEN=127.0.0.1:0",
				"VISAVIS_WORKER__SOCKET="+filepath.Join(t.TempDir(), "frames.sock"), "VISAVIS_"+setting+"="+taken.Addr().String())
			if err := appliance.Run(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("%s: %v", setting, err)
			}
			if said.seen.Load() > 0 {
				t.Errorf("%s: %q is said", setting, greeting)
			}
		}
	}
}

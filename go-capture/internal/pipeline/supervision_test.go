// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"visavis/capture/internal/config"
	"visavis/capture/internal/logtest"
)

// lines counts those of the log that hold a text.
type lines struct {
	text string
	seen atomic.Int32
}

func (l *lines) Write(line []byte) (int, error) {
	if strings.Contains(string(line), l.text) {
		l.seen.Add(1)
	}
	return len(line), nil
}

func TestASystemdThatDoesNotListenEndsNothing(t *testing.T) {
	t.Setenv("VISAVIS_STATE_DIR", t.TempDir())
	t.Setenv("NOTIFY_SOCKET", "/nowhere/notify") // as whoever started us may have left it
	t.Setenv("WATCHDOG_USEC", "2000")
	deaf := &lines{text: "systemd does not listen"}
	logtest.Hear(t, slog.NewTextHandler(deaf, nil))
	appliance := configured(t, "VISAVIS_WEB__LISTEN=127.0.0.1:0")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	listener, err := appliance.web.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	served, told := make(chan error, 1), make(chan error, 1)
	go func() { served <- appliance.web.Serve(ctx, listener) }()
	go func() { told <- appliance.tellSystemd(ctx) }()
	for deaf.seen.Load() == 0 && len(told) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-told; err != nil {
		t.Errorf("the daemon ends: %v", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestACameraThatStandsStillIsNamed(t *testing.T) {
	const nowNs = int64(time.Hour)
	for name, c := range map[string]struct {
		fps, detectFPS float64
		silent         time.Duration // since its newest picture
		lost, stuck    bool
	}{
		"delivers":                   {fps: 30, silent: 30 * time.Millisecond},
		"has a moment of rest":       {fps: 30, silent: 6 * time.Second},
		"stands still":               {fps: 30, silent: 7 * time.Second, stuck: true},
		"is lost, which it knows":    {fps: 30, silent: time.Minute, lost: true},
		"gives a picture in ten":     {fps: 0.1, silent: 25 * time.Second},
		"is asked for one a minute":  {fps: 30, detectFPS: 1.0 / 60, silent: time.Minute},
		"and does not give that one": {fps: 30, detectFPS: 1.0 / 60, silent: 67 * time.Second, stuck: true},
	} {
		settings := config.Camera{ID: "door", FPS: c.fps, DetectFPS: c.detectFPS}
		door := &camera{settings: settings}
		door.online.Store(!c.lost)
		door.gaveNs.Store(nowNs - c.silent.Nanoseconds())
		a := &Appliance{cameras: map[string]*camera{"door": door}, listed: []config.Camera{settings}}
		if got := a.stuck(nowNs); (got == "camera door") != c.stuck || (got != "" && !c.stuck) {
			t.Errorf("one that %s: %q stands still", name, got)
		}
	}
}

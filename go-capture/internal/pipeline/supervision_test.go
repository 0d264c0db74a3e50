// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"visavis/capture/internal/backoff"
	"visavis/capture/internal/config"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/logtest"
	"visavis/capture/internal/systemdtest"
	"visavis/capture/internal/waiting"
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
	told := telling(t, configured(t, "VISAVIS_WEB__LISTEN=127.0.0.1:0"))
	waiting.Until(t, "it is said, or the daemon has ended", func() bool { return deaf.seen.Load() > 0 || len(told) > 0 })
}

// telling serves, and tells systemd so, until the test ends; neither may fail. What comes says that the telling has ended.
func telling(t *testing.T, appliance *Appliance) <-chan error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listener, err := appliance.web.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	served, told := make(chan error, 1), make(chan error, 1)
	go func() { served <- appliance.web.Serve(ctx, listener) }()
	go func() { told <- appliance.tellSystemd(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-told, <-served); err != nil {
			t.Errorf("the daemon ends: %v", err)
		}
	})
	return told
}

// gate is a camera that gives a picture whenever it is let.
type gate struct{ open chan struct{} }

func (g gate) Grab(ctx context.Context, into *frame.Picture) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-g.open:
		return into.SetSize(64, 48)
	}
}

func (gate) Close() error { return nil }

// runs lets the appliance's camera give what comes through the gate, until the test ends.
func runs(t *testing.T, a *Appliance, through gate) *camera {
	t.Helper()
	c, err := a.newCamera(a.config.Cameras[0])
	if err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	a.cameras[c.settings.ID] = c
	a.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() {
		defer close(c.ended)
		_ = c.session(ctx, through, backoff.New(firstRetry, mostRetry)) // it ends with the test
	}()
	t.Cleanup(c.stop)
	return c
}

// The loop stands still by itself; only the time that it may stand is not waited for.
func TestSystemdHearsNoSignOfLifeWhileACameraStandsStill(t *testing.T) {
	t.Setenv("VISAVIS_STATE_DIR", t.TempDir())
	next := systemdtest.Told(t)
	t.Setenv("WATCHDOG_PID", "")
	t.Setenv("WATCHDOG_USEC", "10000")
	a := configured(t, "VISAVIS_WEB__LISTEN=127.0.0.1:0", "VISAVIS_CAMERA__0__ID=door", "VISAVIS_CAMERA__0__SOURCE=demo:",
		"VISAVIS_CAMERA__0__DETECT_FPS=0.01") // it may stand still for longer than the test takes
	through := gate{make(chan struct{})}
	door := runs(t, a, through)
	through.open <- struct{}{}
	waiting.Until(t, "the camera delivers", door.online.Load)
	telling(t, a)

	const alive, looks = "WATCHDOG=1", 20
	// steadily waits until so many looks in a row, each of which begins with the figures, have a sign of life or have none. Many may be on
	// their way that were before.
	steadily := func(when string, lives bool) {
		t.Helper()
		signed, row := !lives, 0
		for end := time.Now().Add(waiting.Most); row < looks; {
			switch said := next(); {
			case said == alive:
				signed = true
			case !strings.HasPrefix(said, "STATUS="):
			case signed == lives:
				row, signed = row+1, false
			default:
				row, signed = 0, false
			}
			if time.Now().After(end) {
				t.Fatalf("not within %v: when %s, a sign of life is %v", waiting.Most, when, lives)
			}
		}
	}
	steadily("the camera has given a picture", true)
	door.gaveNs.Add(-door.silenceMost().Nanoseconds())
	steadily("it stands still", false)
	through.open <- struct{}{}
	steadily("it gives one again", true)
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

// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/source"
	"visavis/capture/internal/systemd"
	"visavis/capture/internal/web"
)

const (
	// statusPeriod is how often `systemctl status` gets new figures where there is no watchdog that asks for more.
	statusPeriod = 5 * time.Second
	// leeway is what a picture may take beside the wait for it, on a machine that has no time.
	leeway = 5 * time.Second
)

// tellSystemd says when the appliance serves, then how it fares, and gives signs of life for as long as every part moves.
func (a *Appliance) tellSystemd(ctx context.Context) error {
	period, err := systemd.WatchdogPeriod()
	if err != nil {
		return err
	}
	select {
	case <-a.web.Listening():
	case <-ctx.Done():
		return nil
	}
	said := &said{}
	said.note(systemd.Ready())
	looks := time.NewTicker(shorter(period, statusPeriod))
	defer looks.Stop()
	for {
		select {
		case <-ctx.Done():
			said.note(systemd.Stopping())
			return nil
		case <-looks.C:
			a.sign(said)
		}
	}
}

// sign tells systemd the figures and, unless a part stands still, that we live. The status takes the lock of every part, so one
// that never lets go of it keeps the sign of life away too.
func (a *Appliance) sign(said *said) {
	status := (*view)(a).Status()
	said.note(systemd.Status(summary(status)))
	if part := a.stuck(frame.MonotonicNs()); part != "" {
		slog.Error("a part stands still, no sign of life for the watchdog", "part", part)
		return
	}
	said.note(systemd.Alive())
}

// said is whether systemd heard what it was told last.
type said struct{ unheard bool }

// note tells it once when it did not. That ends nothing here: the socket may be one that our starter inherited.
func (s *said) note(err error) {
	if err != nil && !s.unheard {
		slog.Warn("systemd does not listen", "error", err)
	}
	s.unheard = err != nil
}

// stuck names a camera that counts as delivering, and has given no picture for longer than it may; "" when there is none. A camera
// that is lost is not stuck: its own deadline has noticed it.
func (a *Appliance) stuck(nowNs int64) string {
	for _, at := range a.places() {
		if c := at.running; c != nil && c.online.Load() && nowNs-c.gaveNs.Load() > c.silenceMost().Nanoseconds() {
			return "camera " + c.settings.ID
		}
	}
	return ""
}

// silenceMost is how long a camera that delivers may give no picture. One that is asked for few passes over the others.
func (c *camera) silenceMost() time.Duration {
	most := source.StallLimit(c.settings.FPS) + leeway
	if c.settings.DetectFPS > 0 {
		most += time.Duration(float64(time.Second) / c.settings.DetectFPS)
	}
	return most
}

func summary(status web.Status) string {
	online, fps := 0, 0.0
	for _, c := range status.Cameras {
		if c.State == web.CameraOnline {
			online++
		}
		fps += c.FPSInferred
	}
	words := fmt.Sprintf("%d of %d cameras, %d workers, %.1f frames/s inferred", online, len(status.Cameras), len(status.Workers), fps)
	if status.Thermal.Slowed {
		words += fmt.Sprintf(", slowed to %.0f %% because of the heat", 100*status.Thermal.Share)
	}
	return words
}

func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b < a {
		return b
	}
	return a
}

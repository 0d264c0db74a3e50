// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"visavis/capture/internal/systemd"
	"visavis/capture/internal/web"
)

// statusPeriod is how often `systemctl status` gets new figures where there is no watchdog that asks for more.
const statusPeriod = 5 * time.Second

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
	if err := systemd.Ready(); err != nil {
		return err
	}
	looks := time.NewTicker(shorter(period, statusPeriod))
	defer looks.Stop()
	moves := pulse{}
	for {
		select {
		case <-ctx.Done():
			return systemd.Stopping()
		case <-looks.C:
			a.sign(&moves)
		}
	}
}

// sign tells systemd the figures and, unless a part stands still, that we live. The status takes the lock of every part, so one
// that never lets go of it keeps the sign of life away too.
func (a *Appliance) sign(moves *pulse) {
	status := (*view)(a).Status()
	if err := systemd.Status(summary(status)); err != nil {
		slog.Warn("systemd does not listen", "error", err)
	}
	if part := moves.stuck(status.Cameras); part != "" {
		slog.Error("a part stands still, no sign of life for the watchdog", "part", part)
		return
	}
	if err := systemd.Alive(); err != nil {
		slog.Warn("systemd does not listen", "error", err)
	}
}

// pulse remembers how far each camera was at the last look.
type pulse struct{ captured map[string]uint64 }

// stuck names a camera that delivered at the last look, still counts as delivering, and has captured nothing since; "" when there
// is none. A camera that is lost is not stuck: its own deadline has noticed it.
func (p *pulse) stuck(cameras []web.CameraStatus) string {
	before := p.captured
	p.captured = map[string]uint64{}
	stands := ""
	for _, c := range cameras {
		if c.State != web.CameraOnline {
			continue
		}
		if count, seen := before[c.ID]; seen && count == c.Frames.Captured {
			stands = "camera " + c.ID
		}
		p.captured[c.ID] = c.Frames.Captured
	}
	return stands
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

// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"log/slog"
	"time"

	"visavis/capture/internal/config"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/thermal"
	"visavis/capture/internal/updown"
	"visavis/capture/internal/web"
)

// cooling is what keeps the device from getting too hot.
type cooling struct {
	counts   thermal.Zones // those that slow inference
	all      thermal.Zones // those whose hottest is told
	governor *thermal.Governor
	log      *updown.Teller // of the goroutine of keepCool; what comes and goes is full speed
}

func newCooling(s config.Thermal) cooling {
	return cooling{
		counts:   thermal.Zones{Folder: s.Folder, Types: s.Zones},
		all:      thermal.Zones{Folder: s.Folder},
		governor: thermal.NewGovernor(thermal.Limits{ThrottleC: s.ThrottleAtC, ResumeC: s.ResumeAtC}),
		log:      atFullSpeed(time.Now),
	}
}

// atFullSpeed is how every device begins, which is no news.
func atFullSpeed(now func() time.Time) *updown.Teller {
	log := updown.New(now)
	log.Back()
	return log
}

// keepCool looks at the temperature until ctx ends.
func (a *Appliance) keepCool(ctx context.Context) error {
	looks := time.NewTicker(thermal.Period)
	defer looks.Stop()
	for {
		a.look()
		select {
		case <-ctx.Done():
			return nil
		case <-looks.C:
		}
	}
}

// look passes the share that workers may work on to the dispatcher, and says when slowing begins and when it is over; of a device
// that swings, once an hour.
func (a *Appliance) look() {
	before, after := a.cooling.governor.Look(a.cooling.counts.HottestC())
	if before.Share == after.Share {
		return
	}
	a.dispatcher.SetShare(after.Share)
	switch {
	case !before.Slowed() && a.cooling.log.Lost("too hot"):
		slog.Warn("too hot, inference is slowed", "temperature_c", celsius(after))
	case !after.Slowed() && a.cooling.log.Back():
		slog.Info("cool again, inference at full speed", "temperature_c", celsius(after))
	}
}

// celsius is a temperature for a line of the log.
func celsius(s thermal.State) any {
	if s.TemperatureC == nil {
		return "unknown"
	}
	return *s.TemperatureC
}

func thermalOf(s thermal.State, share float64) web.Thermal {
	return web.Thermal{TemperatureC: s.TemperatureC, Slowed: share < 1, Share: rounded(share)}
}

// rounded is a share in whole percent; one that is less than 1 never looks like 1.
func rounded(share float64) float64 {
	if share < 1 {
		return min(geometry.Round(share, 100), 0.99)
	}
	return share
}

// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"testing"
	"time"

	"visavis/capture/internal/config"
)

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

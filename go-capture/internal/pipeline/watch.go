// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"time"

	"visavis/capture/internal/config"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/track"
	"visavis/capture/internal/zone"
)

// watch is what the hub is to look for at a camera.
func watch(all *config.Config, c config.Camera, score float64) hub.Watch {
	t := all.Tracker
	places := zone.Settings{Occupied: delays(c.OnDelayMs, c.OffDelayMs), MinFace: float64(c.MinFace)}
	for _, mask := range c.Masks {
		places.Masks = append(places.Masks, zone.PolygonOf(mask))
	}
	for _, z := range c.Zones {
		places.Zones = append(places.Zones, zone.Zone{
			Name: z.Name, Polygon: zone.PolygonOf(z.Polygon), MinDwell: milliseconds(z.MinDwellMs), Occupied: delays(z.OnDelayMs, z.OffDelayMs),
		})
	}
	for _, l := range c.Lines {
		places.Lines = append(places.Lines, zone.LineOf(l.Name, l.Start, l.End))
	}
	return hub.Watch{
		Score:   score,
		Begins:  float32(t.Score),
		Hides:   float32(min(all.Detector.Score, hub.HidesMost)),
		Tracker: track.Settings{Score: float32(max(t.Score, score)), Hits: t.Hits, LostAfter: milliseconds(t.LostMs), Interval: max(interval(c.FPS), interval(c.DetectFPS))},
		Places:  places,
	}
}

func delays(onMs, offMs int) zone.Delays {
	return zone.Delays{On: milliseconds(onMs), Off: milliseconds(offMs)}
}

// interval is the time between two pictures; 0 where there is no limit.
func interval(fps float64) time.Duration {
	if fps <= 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / fps)
}

func milliseconds(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }

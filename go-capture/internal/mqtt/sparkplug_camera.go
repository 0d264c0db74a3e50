// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"encoding/json"

	"visavis/capture/internal/event"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/zone"
)

// eventsWaiting bounds the events of one camera between two messages; the counters stay right whatever is let go.
const eventsWaiting = 100

// sparkplugCamera is a device of the edge node: its metrics in the order of its birth certificate.
type sparkplugCamera struct {
	online, born bool
	anew         bool // born with other metrics than these
	order        []string
	values       map[string]any
	changed      map[string]bool
	events       []string // as JSON, each for a message of its own
}

func newSparkplugCamera(place Place) *sparkplugCamera {
	c := &sparkplugCamera{values: map[string]any{}, changed: map[string]bool{}}
	c.has("detecting", false) // while not, faces and occupied do not say that nobody is there
	c.has("faces", int32(0))
	c.has("occupied", false)
	for _, kind := range []zone.Kind{zone.Appeared, zone.Gone} {
		c.has(string(kind), uint64(0))
	}
	for _, name := range place.Zones {
		c.has("zone/"+name+"/faces", int32(0))
		c.has("zone/"+name+"/occupied", false)
		c.has("zone/"+name+"/entered", uint64(0))
		c.has("zone/"+name+"/left", uint64(0))
	}
	for _, name := range place.Lines {
		c.has("line/"+name+"/in", uint64(0))
		c.has("line/"+name+"/out", uint64(0))
	}
	c.has(sparkplugEvent, "")
	return c
}

const sparkplugEvent = "event" // the one that was told last, as JSON of contracts/schemas/event.schema.json

func (c *sparkplugCamera) has(name string, value any) {
	c.order = append(c.order, name)
	c.values[name] = value
}

// set changes a metric that the birth certificate names; there is no other.
func (c *sparkplugCamera) set(name string, value any) {
	if before, known := c.values[name]; known && before != value {
		c.values[name] = value
		c.changed[name] = true
	}
}

func (c *sparkplugCamera) believe(s hub.State) {
	at := ""
	if s.Zone != "" {
		at = "zone/" + s.Zone + "/"
	}
	c.set(at+"faces", int32(s.Confirmed))
	c.set(at+"occupied", s.Occupied)
}

func (c *sparkplugCamera) hear(e event.Event) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return err
	}
	switch e.Type {
	case zone.Appeared, zone.Gone:
		if e.Zone == "" {
			c.rise(string(e.Type))
		}
	case zone.Entered, zone.Left:
		c.rise("zone/" + e.Zone + "/" + string(e.Type))
	case zone.Crossed:
		c.rise("line/" + e.Line + "/" + string(e.Direction))
	}
	if c.online { // one that is told when the camera is back would look as if it happened then
		c.events = append(c.events, string(payload))
		c.events = c.events[max(len(c.events)-eventsWaiting, 0):]
	}
	return nil
}

func (c *sparkplugCamera) rise(name string) {
	if before, known := c.values[name].(uint64); known {
		c.set(name, before+1)
	}
}

// birth are all metrics as they are now; only events that were not told are left to be told after it.
func (c *sparkplugCamera) birth() []metric {
	all := make([]metric, len(c.order))
	for i, name := range c.order {
		all[i] = metric{name, c.values[name]}
	}
	clear(c.changed)
	return all
}

// news are the metrics of the next message: what has changed, with the oldest event that was not told.
func (c *sparkplugCamera) news() []metric {
	var told []metric
	for _, name := range c.order {
		if c.changed[name] {
			told = append(told, metric{name, c.values[name]})
		}
	}
	clear(c.changed)
	if len(c.events) > 0 {
		c.values[sparkplugEvent] = c.events[0]
		told = append(told, metric{sparkplugEvent, c.events[0]})
		c.events = c.events[1:]
	}
	return told
}

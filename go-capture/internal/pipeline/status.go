// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"visavis/capture/internal/config"
	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/mqtt"
	"visavis/capture/internal/payload"
	"visavis/capture/internal/web"
)

// view is the appliance as the page, the API and the metrics see it.
type view Appliance

// Status takes the accounting of all cameras in one instant.
func (v *view) Status() web.Status {
	a := (*Appliance)(v)
	shot, brokers := a.dispatcher.Snapshot(), a.brokers()
	status := web.Status{
		Device: a.config.Device.ID, Version: a.version, Workers: workersOf(shot), Engine: a.engine.State(), Broker: a.broker(brokers), Brokers: brokers,
		Thermal: thermalOf(a.cooling.governor.Now(), shot.Share), Parts: a.parts(), Clients: web.Clients(a.gateway.Figures()), Cameras: []web.CameraStatus{},
	}
	for _, at := range a.places() {
		status.Cameras = append(status.Cameras, a.placeView(at, shot))
	}
	return status
}

// Cameras returns the settings in the order of the newest configuration, and what viewers see of faces now, which may be ordered.
func (v *view) Cameras() []web.CameraSettings {
	a, cameras := (*Appliance)(v), []web.CameraSettings{}
	for _, at := range a.places() {
		s := at.settings
		cameras = append(cameras, web.CameraSettings{
			ID: s.ID, Source: s.Shown(), Width: s.Size[0], Height: s.Size[1], FPS: s.FPS, Rotate: s.Rotate,
			Privacy: a.privacyNow(at), DetectFPS: s.DetectFPS,
		})
	}
	return cameras
}

func (a *Appliance) privacyNow(at place) string {
	if at.running != nil {
		return at.running.orders.Now().Privacy
	}
	return a.board.Remembered(at.settings.ID, rules(a.config, at.settings)).Privacy
}

// Privacy is asked for each picture, so it only reads a table.
func (v *view) Privacy(id string) (privacy string, known bool) {
	a := (*Appliance)(v)
	a.mu.Lock()
	defer a.mu.Unlock()
	c, known := a.cameras[id]
	if !known {
		return "", false
	}
	return c.orders.Now().Privacy, true
}

// Stopping is true from the signal to end on.
func (v *view) Stopping() bool { return (*Appliance)(v).gateway.Stopping() }

func workersOf(shot dispatch.Snapshot) []web.Worker {
	workers := []web.Worker{}
	for _, w := range shot.Workers {
		workers = append(workers, web.Worker{
			ID: w.ID, Name: w.Name, State: w.State, Backend: w.Backend, Model: w.Model, Precision: w.Precision, Fallback: w.Fallback,
			Frames: w.Frames, ServiceMs: w.ServiceMs, Batch: w.Batch, Server: (*web.ServerState)(w.Server),
		})
	}
	return workers
}

func countersOf(shot dispatch.Snapshot, camera string) dispatch.Counters {
	for _, stream := range shot.Streams {
		if stream.Name == camera {
			return stream.Counters
		}
	}
	return dispatch.Counters{}
}

// broker is the state of all brokers as one: what waits for any of them waits.
func (a *Appliance) broker(each []web.OneBroker) web.Broker {
	if a.mqtt == nil {
		return web.Broker{Orders: web.Orders{Refused: map[string]uint64{}}}
	}
	whole := web.Broker{Enabled: true, Connected: true, Orders: web.Orders(a.mqtt.Commands())}
	for _, one := range each {
		whole.Connected = whole.Connected && one.Connected
		whole.Error = cmp.Or(whole.Error, one.Error)
		whole.Outbox += one.Outbox
		whole.OutboxDropped += one.OutboxDropped
	}
	return whole
}

func (a *Appliance) brokers() []web.OneBroker {
	each := []web.OneBroker{}
	if a.mqtt == nil {
		return each
	}
	for _, s := range a.mqtt.States() {
		each = append(each, web.OneBroker{Name: s.Name, Connected: s.Connected, Error: s.Error, Outbox: int(s.Waiting), OutboxDropped: s.Lost})
	}
	return each
}

func (a *Appliance) placeView(at place, shot dispatch.Snapshot) web.CameraStatus {
	n := countersOf(shot, at.settings.ID)
	if at.running == nil {
		return a.absentView(at, n)
	}
	seen := a.cameraView(at.running, n)
	seen.Detecting = a.looksAt(at, shot)
	return seen
}

// detecting tells of each camera whether somebody looks for faces there: who does not cannot say that nobody is there.
func (a *Appliance) detecting() map[string]bool {
	shot, all := a.dispatcher.Snapshot(), map[string]bool{}
	for _, at := range a.places() {
		all[at.settings.ID] = a.looksAt(at, shot)
	}
	return all
}

// looksAt tells whether somebody looks for faces there: the camera delivers to a worker, and results come. A worker may hang.
func (a *Appliance) looksAt(at place, shot dispatch.Snapshot) bool {
	return at.delivers(shot) && a.hub.Detecting(at.settings.ID)
}

// delivers tells whether the camera delivers to a worker what is to be looked at.
func (at place) delivers(shot dispatch.Snapshot) bool {
	if at.running == nil || !at.running.orders.Now().Detect {
		return false
	}
	state, _ := at.running.state()
	return state == web.CameraOnline && len(shot.Workers) > 0
}

// absentView is a camera that does not run: what holds at it when it comes, and no figures.
func (a *Appliance) absentView(at place, n dispatch.Counters) web.CameraStatus {
	set, none := a.board.Remembered(at.settings.ID, rules(a.config, at.settings)), hub.CameraFigures{}
	state := web.CameraStarting
	if at.refused != "" {
		state = web.CameraLost
	}
	return web.CameraStatus{
		ID: at.settings.ID, State: state, Error: at.refused, Privacy: set.Privacy, Detect: set.Detect, Score: set.Score,
		Frames: framesOf(n), LatencyMs: latencies(none), Zones: zonesOf(none), Lines: linesOf(none),
	}
}

func (a *Appliance) cameraView(c *camera, n dispatch.Counters) web.CameraStatus {
	figures := a.hub.Snapshot(c.settings.ID)
	state, reason := c.state()
	set := c.orders.Now()
	return web.CameraStatus{
		ID: c.settings.ID, State: state, Error: reason, Width: int(c.width.Load()), Height: int(c.height.Load()),
		FPS: figures.FPSCaptured, FPSInferred: figures.FPSInferred, Privacy: set.Privacy, Detect: set.Detect, Score: set.Score,
		Faces: figures.Faces, Occupied: figures.Occupied, Frames: framesOf(n), LatencyMs: latencies(figures),
		Zones: zonesOf(figures), Lines: linesOf(figures), USBResets: c.healer.done.Load(),
	}
}

func zonesOf(f hub.CameraFigures) []web.ZoneStatus {
	zones := make([]web.ZoneStatus, len(f.Zones))
	for i, z := range f.Zones {
		zones[i] = web.ZoneStatus{Name: z.Name, Faces: z.Faces, Occupied: z.Occupied, Entered: z.Entered, Left: z.Left}
		for _, corner := range z.Polygon {
			zones[i].Polygon = append(zones[i].Polygon, [2]float64{corner.X, corner.Y})
		}
	}
	return zones
}

func linesOf(f hub.CameraFigures) []web.LineStatus {
	lines := make([]web.LineStatus, len(f.Lines))
	for i, l := range f.Lines {
		lines[i] = web.LineStatus{Name: l.Name, Start: [2]float64{l.From.X, l.From.Y}, End: [2]float64{l.To.X, l.To.Y}, In: l.In, Out: l.Out}
	}
	return lines
}

// state says whether the camera delivers, and if not why.
func (c *camera) state() (state, reason string) {
	if !c.orders.Now().Enabled {
		return web.CameraOff, ""
	}
	if c.online.Load() {
		return web.CameraOnline, ""
	}
	if why := c.reason.Load(); why != nil {
		return web.CameraLost, *why
	}
	return web.CameraStarting, ""
}

func framesOf(n dispatch.Counters) web.Frames {
	return web.Frames{Captured: n.Captured, Inferred: n.Inferred, InFlight: n.InFlight, Dropped: payload.Dropped(droppedOf(n))}
}

func droppedOf(n dispatch.Counters) hub.Dropped {
	return hub.Dropped{Superseded: n.Superseded, NoSlot: n.NoSlot, Aborted: n.Aborted, Abandoned: n.Abandoned}
}

func latencies(f hub.CameraFigures) map[string]web.Latency {
	high, all := f.P99.Stages(), map[string]web.Latency{}
	for i, median := range f.P50.Stages() {
		all[median.Name] = web.Latency{P50: median.Ms, P99: high[i].Ms}
	}
	return all
}

// info is what the broker retains about the device. Model, backend and precision are those of the workers that are connected:
// `auto` says nothing about what runs, and neither does a setting whose worker did not start.
func (a *Appliance) info() mqtt.Info {
	info := running(a.dispatcher.Snapshot().Workers)
	if info.Model == "" {
		info.Model = a.config.Detector.Model
	}
	info.Schema, info.Version, info.Workers, info.Cameras = 1, a.version, a.config.Detector.Workers, a.listedIDs()
	info.Engine = a.progress.of(a.engine.State(), time.Now())
	info.URL = pageURL(a.config)
	info.Slowed = a.cooling.governor.Now().Slowed()
	info.Latest = a.latest.now()
	info.Brokers = map[string]bool{}
	for _, one := range a.brokers() {
		info.Brokers[one.Name] = one.Connected
	}
	return info
}

// running names what the connected workers run; different ones, as while workers change over, are joined by commas.
func running(workers []dispatch.WorkerState) mqtt.Info {
	var models, backends, precisions []string
	info := mqtt.Info{}
	for _, w := range workers {
		models, backends, precisions = append(models, w.Model), append(backends, w.Backend), append(precisions, w.Precision)
		info.Fallback = info.Fallback || w.Fallback
	}
	info.Model, info.Backend, info.Precision = joined(models), joined(backends), joined(precisions)
	return info
}

// joined lists each name once; a worker may leave its backend out, and not know its precision.
func joined(names []string) string {
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
	return strings.Join(names, ",")
}

// stats is what goes out over MQTT every ten seconds.
func (a *Appliance) stats() mqtt.Stats {
	stats := mqtt.Stats{
		Schema: 1, Cameras: map[string]mqtt.CameraStats{},
		TemperatureC: a.cooling.all.HottestC(), InferenceShare: rounded(a.cooling.governor.Now().Share), MemoryBytes: anonymousBytes(statusFile),
	}
	shot := a.dispatcher.Snapshot()
	for _, id := range a.listedIDs() {
		stats.Cameras[id] = mqtt.StatsOf(a.hub.Snapshot(id), droppedOf(countersOf(shot, id)))
	}
	return stats
}

// place is one camera of the configuration.
type place struct {
	settings config.Camera
	running  *camera // nil when it does not run
	refused  string  // why not; "" before it was tried
}

// places are the cameras as the newest configuration lists them, those that do not run too.
func (a *Appliance) places() []place {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]place, len(a.listed))
	for i, settings := range a.listed {
		list[i] = place{settings: settings, refused: a.refused[settings.ID]}
		if c, running := a.cameras[settings.ID]; running {
			list[i] = place{settings: c.settings, running: c}
		}
	}
	return list
}

// listedIDs names the cameras of the newest configuration.
func (a *Appliance) listedIDs() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids := make([]string, len(a.listed)) // never nil: no camera is [], not null
	for i, settings := range a.listed {
		ids[i] = settings.ID
	}
	return ids
}

// list remembers the order of the cameras; why some were refused until now is of no interest any more.
func (a *Appliance) list(cameras []config.Camera) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.listed = cameras
	clear(a.refused)
}

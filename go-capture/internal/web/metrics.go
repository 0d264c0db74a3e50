// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/engine"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/metric"
)

// metrics owns the registry behind /metrics. Figures that others count are read from the View when Prometheus asks.
type metrics struct {
	handler  http.Handler
	requests *prometheus.CounterVec
	stages   *prometheus.HistogramVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		requests: metric.RequestsTotal.Counters(),
		stages:   metric.StageSeconds.StageTimes(),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.stages, appliance{s}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(s.settings.Guests.Collectors...)
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return m
}

func (m *metrics) handle(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	m.handler.ServeHTTP(w, r)
	return nil
}

// observe adds the stages of one result.
func (m *metrics) observe(r *hub.Result) {
	for _, stage := range r.Latency.Stages() {
		m.stages.WithLabelValues(stage.Name).Observe(stage.Ms / 1000)
	}
}

// count counts a route's answers by status code.
func (m *metrics) count(route string, next http.Handler) http.Handler {
	counter := func(code int) prometheus.Counter { return m.requests.WithLabelValues(route, strconv.Itoa(code)) }
	good := sync.OnceValue(func() prometheus.Counter { return counter(http.StatusOK) }) // of most answers: looked up once, as the first comes
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := recorderOf(w)
		defer func() {
			if recorder.code == http.StatusOK {
				good().Inc()
				return
			}
			counter(recorder.code).Inc()
		}()
		next.ServeHTTP(recorder, r)
	})
}

// CountCall counts an answer that went out another way than over HTTP.
func (s *Server) CountCall(route, code string) { s.metrics.requests.WithLabelValues(route, code).Inc() }

// recorder remembers the status code of an answer.
type recorder struct {
	http.ResponseWriter
	code int
}

// recorderOf is the answer's recorder: the one that listens already, where there is one.
func recorderOf(w http.ResponseWriter) *recorder {
	if already, ok := w.(*recorder); ok {
		return already
	}
	return &recorder{ResponseWriter: w, code: http.StatusOK}
}

// WriteHeader remembers the code and passes it on.
func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach deadlines and Flush.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

var (
	capturedDesc     = metric.FramesCapturedTotal.Desc()
	inferredDesc     = metric.FramesInferredTotal.Desc()
	inFlightDesc     = metric.FramesInFlight.Desc()
	droppedDesc      = metric.FramesDroppedTotal.Desc()
	facesDesc        = metric.Faces.Desc()
	occupiedDesc     = metric.Occupied.Desc()
	zoneFacesDesc    = metric.ZoneFaces.Desc()
	zoneOccupiedDesc = metric.ZoneOccupied.Desc()
	zoneEnteredDesc  = metric.ZoneEnteredTotal.Desc()
	crossedDesc      = metric.LineCrossedTotal.Desc()
	onlineDesc       = metric.CameraOnline.Desc()
	enabledDesc      = metric.CameraEnabled.Desc()
	detectingDesc    = metric.CameraDetecting.Desc()
	resetsDesc       = metric.CameraUsbResetsTotal.Desc()
	sentDesc         = metric.ViewerFramesSentTotal.Desc()
	lostDesc         = metric.ViewerFramesDroppedTotal.Desc()
	workersDesc      = metric.Workers.Desc()
	fallbackDesc     = metric.WorkersFallback.Desc()
	engineDesc       = metric.EngineFailed.Desc()
	serverLostDesc   = metric.ServerLossesTotal.Desc()
	localFramesDesc  = metric.ServerLocalFramesTotal.Desc()
	viewersDesc      = metric.Viewers.Desc()
	outboxDesc       = metric.OutboxEvents.Desc()
	overflowDesc     = metric.OutboxDroppedTotal.Desc()
	brokerDesc       = metric.MqttConnected.Desc()
	eachDesc         = metric.BrokerConnected.Desc()
	waitingDesc      = metric.BrokerOutboxEvents.Desc()
	givenUpDesc      = metric.BrokerOutboxDroppedTotal.Desc()
	faultDesc        = metric.PartFault.Desc()
	shareDesc        = metric.InferenceShare.Desc()
	heatDesc         = metric.TemperatureCelsius.Desc()
	buildDesc        = metric.BuildInfo.Desc()
)

// appliance reads one status for each scrape, so that the frames of a scrape add up too.
type appliance struct{ server *Server }

// Describe lists the metrics that Collect sends.
func (appliance) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{capturedDesc, inferredDesc, inFlightDesc, droppedDesc, facesDesc, occupiedDesc,
		zoneFacesDesc, zoneOccupiedDesc, zoneEnteredDesc, crossedDesc, onlineDesc, enabledDesc, detectingDesc, resetsDesc, sentDesc, lostDesc,
		workersDesc, fallbackDesc, engineDesc, serverLostDesc, localFramesDesc, viewersDesc, outboxDesc, overflowDesc, brokerDesc, eachDesc, waitingDesc, givenUpDesc, faultDesc,
		shareDesc, heatDesc, buildDesc} {
		out <- desc
	}
}

// Collect sends the figures of this instant.
func (a appliance) Collect(out chan<- prometheus.Metric) {
	status := a.server.fullStatus(auth.Everyone()) // /metrics is for those who may see all
	emit := emitter(out)
	for _, camera := range status.Cameras {
		emit.camera(camera)
	}
	emit.workers(status.Workers)
	emit.servers(status.Workers)
	emit.gauge(engineDesc, oneIf(status.Engine != nil && status.Engine.State == engine.Failed))
	emit.gauge(viewersDesc, float64(status.Viewers))
	emit.gauge(outboxDesc, float64(status.Broker.Outbox))
	emit.counter(overflowDesc, status.Broker.OutboxDropped)
	emit.gauge(brokerDesc, oneIf(status.Broker.Connected))
	for _, broker := range status.Brokers {
		emit.gauge(eachDesc, oneIf(broker.Connected), broker.Name)
		emit.gauge(waitingDesc, float64(broker.Outbox), broker.Name)
		emit.counter(givenUpDesc, broker.OutboxDropped, broker.Name)
	}
	for _, part := range status.Parts {
		emit.gauge(faultDesc, oneIf(part.Error != ""), part.Name)
	}
	emit.gauge(shareDesc, status.Thermal.Share)
	if celsius := status.Thermal.TemperatureC; celsius != nil {
		emit.gauge(heatDesc, *celsius)
	}
	emit.gauge(buildDesc, 1, status.Version, runtime.Version())
}

// emitter sends constant metrics.
type emitter chan<- prometheus.Metric

func (e emitter) gauge(desc *prometheus.Desc, value float64, labels ...string) {
	e <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

func (e emitter) counter(desc *prometheus.Desc, value uint64, labels ...string) {
	e <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
}

func (e emitter) camera(camera CameraStatus) {
	e.counter(capturedDesc, camera.Frames.Captured, camera.ID)
	e.counter(inferredDesc, camera.Frames.Inferred, camera.ID)
	e.gauge(inFlightDesc, float64(camera.Frames.InFlight), camera.ID)
	dropped := camera.Frames.Dropped
	e.counter(droppedDesc, dropped.Superseded, camera.ID, "superseded")
	e.counter(droppedDesc, dropped.NoSlot, camera.ID, "no_slot")
	e.counter(droppedDesc, dropped.Aborted, camera.ID, "aborted")
	e.counter(droppedDesc, dropped.Abandoned, camera.ID, "abandoned")
	e.gauge(facesDesc, float64(camera.Faces), camera.ID)
	e.gauge(occupiedDesc, oneIf(camera.Occupied), camera.ID)
	e.places(camera)
	e.gauge(onlineDesc, oneIf(camera.State == CameraOnline), camera.ID)
	e.gauge(enabledDesc, oneIf(camera.State != CameraOff), camera.ID)
	e.gauge(detectingDesc, oneIf(camera.Detecting), camera.ID)
	e.counter(resetsDesc, camera.USBResets, camera.ID)
	e.counter(sentDesc, camera.Viewers.Sent, camera.ID)
	e.counter(lostDesc, camera.Viewers.Dropped, camera.ID)
}

// workers tells each state also when nobody is in it: a series that comes and goes with the scrape would be no use in an alert.
func (e emitter) workers(workers []Worker) {
	states, fallback := map[string]int{"idle": 0, "busy": 0, "paused": 0}, 0
	for _, worker := range workers {
		states[worker.State]++
		if worker.Fallback {
			fallback++
		}
	}
	e.gauge(fallbackDesc, float64(fallback))
	for state, workers := range states {
		e.gauge(workersDesc, float64(workers), state)
	}
}

// servers adds up workers of one name: a name is what a worker says, and a series may be there only once.
func (e emitter) servers(workers []Worker) {
	sums := map[string]ServerState{}
	for _, worker := range workers {
		if worker.Server != nil {
			sum := sums[worker.Name]
			sums[worker.Name] = ServerState{sum.Losses + worker.Server.Losses, sum.LocalFrames + worker.Server.LocalFrames}
		}
	}
	for name, sum := range sums {
		e.counter(serverLostDesc, sum.Losses, name)
		e.counter(localFramesDesc, sum.LocalFrames, name)
	}
}

// places are the zones and lines of a camera.
func (e emitter) places(camera CameraStatus) {
	for _, zone := range camera.Zones {
		e.gauge(zoneFacesDesc, float64(zone.Faces), camera.ID, zone.Name)
		e.gauge(zoneOccupiedDesc, oneIf(zone.Occupied), camera.ID, zone.Name)
		e.counter(zoneEnteredDesc, zone.Entered, camera.ID, zone.Name)
	}
	for _, line := range camera.Lines {
		e.counter(crossedDesc, line.In, camera.ID, line.Name, "in")
		e.counter(crossedDesc, line.Out, camera.ID, line.Name, "out")
	}
}

func oneIf(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

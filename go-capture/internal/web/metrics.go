// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/hub"
)

// stageBuckets reach from a hand-off (tens of microseconds) to a slow network on a small board, in seconds.
var stageBuckets = []float64{0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2}

// metrics owns the registry behind /metrics. Figures that others count are read from the View when Prometheus asks.
type metrics struct {
	handler  http.Handler
	requests *prometheus.CounterVec
	stages   *prometheus.HistogramVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "visavis_requests_total",
			Help: "Answered requests; a live stream counts when it ends."}, []string{"route", "code"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "visavis_stage_seconds",
			Help: "Time an inferred frame spent in each stage.", Buckets: stageBuckets}, []string{"stage"}),
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
	for _, stage := range []struct {
		name string
		ms   float64
	}{
		{"capture", r.Latency.Capture}, {"queue", r.Latency.Queue}, {"handoff", r.Latency.Handoff},
		{"infer", r.Latency.Infer}, {"publish", r.Latency.Publish}, {"total", r.Latency.Total},
	} {
		m.stages.WithLabelValues(stage.name).Observe(stage.ms / 1000)
	}
}

// count counts a route's answers by status code.
func (m *metrics) count(route string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &recorder{ResponseWriter: w, code: http.StatusOK}
		defer func() { m.requests.WithLabelValues(route, strconv.Itoa(recorder.code)).Inc() }()
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

// WriteHeader remembers the code and passes it on.
func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach deadlines and Flush.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

var (
	capturedDesc = describe("visavis_frames_captured_total", "Frames taken from the camera.", "camera")
	inferredDesc = describe("visavis_frames_inferred_total", "Frames with a result.", "camera")
	inFlightDesc = describe("visavis_frames_in_flight", "Frames in the ring now.", "camera")
	droppedDesc  = describe("visavis_frames_dropped_total", "Captured frames without a result, by reason.", "camera", "reason")
	facesDesc    = describe("visavis_faces", "Faces (confirmed tracks) in the picture now.", "camera")
	onlineDesc   = describe("visavis_camera_online", "1 while the camera gives frames.", "camera")
	sentDesc     = describe("visavis_viewer_frames_sent_total", "Frames handed to viewers.", "camera")
	lostDesc     = describe("visavis_viewer_frames_dropped_total", "Frames that viewers missed because they or the encoder were slow.", "camera")
	workersDesc  = describe("visavis_workers", "Connected workers by state.", "state")
	viewersDesc  = describe("visavis_viewers", "Live streams open now.")
	outboxDesc   = describe("visavis_outbox_events", "Events waiting for the broker.")
	overflowDesc = describe("visavis_outbox_dropped_total", "Events given up because the outbox was full.")
	brokerDesc   = describe("visavis_mqtt_connected", "1 while the broker is connected, all of them if there are more.")
	eachDesc     = describe("visavis_broker_connected", "1 while this broker is connected.", "broker")
	waitingDesc  = describe("visavis_broker_outbox_events", "Events waiting for this broker.", "broker")
	givenUpDesc  = describe("visavis_broker_outbox_dropped_total", "Events given up that were for this broker.", "broker")
	shareDesc    = describe("visavis_inference_share", "Part of their time in which workers may work, less than 1 while the device is too hot.")
	heatDesc     = describe("visavis_temperature_celsius", "The hottest thermal zone that counts.")
	buildDesc    = describe("visavis_build_info", "Always 1; the labels tell the build.", "version", "goversion")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// appliance reads one status for each scrape, so that the frames of a scrape add up too.
type appliance struct{ server *Server }

// Describe lists the metrics that Collect sends.
func (appliance) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{capturedDesc, inferredDesc, inFlightDesc, droppedDesc, facesDesc, onlineDesc, sentDesc,
		lostDesc, workersDesc, viewersDesc, outboxDesc, overflowDesc, brokerDesc, eachDesc, waitingDesc, givenUpDesc, shareDesc, heatDesc, buildDesc} {
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
	states := map[string]int{workerReady: 0}
	for _, worker := range status.Workers {
		states[worker.State]++
	}
	for state, workers := range states {
		emit.gauge(workersDesc, float64(workers), state)
	}
	emit.gauge(viewersDesc, float64(status.Viewers))
	emit.gauge(outboxDesc, float64(status.Broker.Outbox))
	emit.counter(overflowDesc, status.Broker.OutboxDropped)
	emit.gauge(brokerDesc, oneIf(status.Broker.Connected))
	for _, broker := range status.Brokers {
		emit.gauge(eachDesc, oneIf(broker.Connected), broker.Name)
		emit.gauge(waitingDesc, float64(broker.Outbox), broker.Name)
		emit.counter(givenUpDesc, broker.OutboxDropped, broker.Name)
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
	e.gauge(onlineDesc, oneIf(camera.State == CameraOnline), camera.ID)
	e.counter(sentDesc, camera.Viewers.Sent, camera.ID)
	e.counter(lostDesc, camera.Viewers.Dropped, camera.ID)
}

func oneIf(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

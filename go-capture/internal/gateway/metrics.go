// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"visavis/capture/internal/dispatch"
)

var stageBuckets = []float64{0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2}

// metrics are the gateway's own; frames in the ring are counted by the dispatcher.
type metrics struct {
	gateway  *Gateway
	pictures *prometheus.CounterVec
	stages   *prometheus.HistogramVec
	streams  prometheus.Gauge
	pushed   *prometheus.CounterVec
}

func newMetrics(g *Gateway) *metrics {
	m := &metrics{
		gateway: g,
		pictures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "visavis_client_pictures_total",
			Help: "Pictures that clients sent, by what came of them."}, []string{"outcome"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "visavis_client_stage_seconds",
			Help: "Time an answered picture spent in each stage.", Buckets: stageBuckets}, []string{"stage"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "visavis_client_streams", Help: "Streams of pictures open now."}),
		pushed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "visavis_pushed_pictures_total",
			Help: "Pictures that clients sent for push: cameras, by what came of them."}, []string{"camera", "outcome"}),
	}
	for _, outcome := range []string{"answered", reasonInvalid, reasonBusy, reasonNoWorker, reasonDeadline, reasonCancelled, reasonFailed, reasonReplaced} {
		m.pictures.WithLabelValues(outcome)
	}
	return m
}

// Collector gives the gateway's metrics to a registry.
func (g *Gateway) Collector() prometheus.Collector { return g.metrics }

func (m *metrics) refused(reason string) { m.pictures.WithLabelValues(reason).Inc() }

func (m *metrics) observe(f found, err error) {
	if err != nil {
		return // counted as refused, where the client is told
	}
	m.pictures.WithLabelValues("answered").Inc()
	l := f.latency
	for stage, value := range map[string]float64{
		"capture": l.Capture, "queue": l.Queue, "handoff": l.Handoff, "infer": l.Infer, "publish": l.Publish, "total": l.Total,
	} {
		m.stages.WithLabelValues(stage).Observe(value / 1000)
	}
}

var (
	waitingDesc = describe("visavis_client_pictures_waiting", "Clients' pictures in the line now.")
	placesDesc  = describe("visavis_client_places_busy", "Clients' pictures that are being decoded or inferred now.")
	framesDesc  = describe("visavis_client_frames_total", "Clients' pictures that were drawn into the ring, by their end there.", "fate")
	takenDesc   = describe("visavis_client_frames_taken_total", "Clients' pictures that were drawn into the ring.")
	flyingDesc  = describe("visavis_client_frames_in_flight", "Clients' pictures in the ring now.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe lists the metrics that Collect sends.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	m.pictures.Describe(out)
	m.stages.Describe(out)
	m.streams.Describe(out)
	m.pushed.Describe(out)
	for _, desc := range []*prometheus.Desc{waitingDesc, placesDesc, framesDesc, takenDesc, flyingDesc} {
		out <- desc
	}
}

// Collect sends the figures of this instant; taken = in flight + the sum of all fates.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	m.pictures.Collect(out)
	m.stages.Collect(out)
	m.streams.Collect(out)
	m.pushed.Collect(out)
	waiting, busy := m.gateway.line.lengths()
	out <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(waiting))
	out <- prometheus.MustNewConstMetric(placesDesc, prometheus.GaugeValue, float64(busy))
	for _, stream := range m.gateway.dispatcher.Snapshot().Streams {
		if stream.Name == StreamName {
			collectFrames(out, stream.Counters)
		}
	}
}

func collectFrames(out chan<- prometheus.Metric, c dispatch.Counters) {
	out <- prometheus.MustNewConstMetric(takenDesc, prometheus.CounterValue, float64(c.Captured))
	out <- prometheus.MustNewConstMetric(flyingDesc, prometheus.GaugeValue, float64(c.InFlight))
	for fate, n := range map[dispatch.Fate]uint64{
		dispatch.Inferred: c.Inferred, dispatch.Superseded: c.Superseded, dispatch.NoSlot: c.NoSlot,
		dispatch.Aborted: c.Aborted, dispatch.Abandoned: c.Abandoned,
	} {
		out <- prometheus.MustNewConstMetric(framesDesc, prometheus.CounterValue, float64(n), fate.String())
	}
}

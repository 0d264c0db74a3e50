// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/metric"
)

// metrics are the gateway's own; frames in the ring are counted by the dispatcher.
type metrics struct {
	gateway *Gateway
	stages  *prometheus.HistogramVec
}

func newMetrics(g *Gateway) *metrics {
	return &metrics{
		gateway: g,
		stages:  metric.ClientStageSeconds.StageTimes(),
	}
}

// Collector gives the gateway's metrics to a registry.
func (g *Gateway) Collector() prometheus.Collector { return g.metrics }

// observe takes the stages of an answered picture.
func (m *metrics) observe(l hub.Latency) {
	for _, stage := range l.Stages() {
		m.stages.WithLabelValues(stage.Name).Observe(stage.Ms / 1000)
	}
}

var (
	pushedDesc   = metric.PushedPicturesTotal.Desc()
	picturesDesc = metric.ClientPicturesTotal.Desc()
	openDesc     = metric.ClientPicturesOpen.Desc()
	streamsDesc  = metric.ClientStreams.Desc()
	waitingDesc  = metric.ClientPicturesWaiting.Desc()
	placesDesc   = metric.ClientPlacesBusy.Desc()
	framesDesc   = metric.ClientFramesTotal.Desc()
	takenDesc    = metric.ClientFramesTakenTotal.Desc()
	againDesc    = metric.ClientFramesLentAgainTotal.Desc()
	flyingDesc   = metric.ClientFramesInFlight.Desc()
)

// Describe lists the metrics that Collect sends.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	m.stages.Describe(out)
	for _, desc := range []*prometheus.Desc{pushedDesc, picturesDesc, openDesc, streamsDesc, waitingDesc, placesDesc, framesDesc, takenDesc, againDesc, flyingDesc} {
		out <- desc
	}
}

// Collect sends the figures of this instant; taken = in flight + the sum of all fates.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	m.stages.Collect(out)
	m.gateway.collectFeeds(out)
	_, busy := m.gateway.lengths()
	figures := m.gateway.Figures()
	for reason, n := range figures.Refused {
		out <- prometheus.MustNewConstMetric(picturesDesc, prometheus.CounterValue, float64(n), reason)
	}
	out <- prometheus.MustNewConstMetric(picturesDesc, prometheus.CounterValue, float64(figures.Answered), outcomeAnswered)
	out <- prometheus.MustNewConstMetric(openDesc, prometheus.GaugeValue, float64(figures.Open))
	out <- prometheus.MustNewConstMetric(streamsDesc, prometheus.GaugeValue, float64(figures.Streams))
	out <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(figures.Waiting))
	out <- prometheus.MustNewConstMetric(placesDesc, prometheus.GaugeValue, float64(busy))
	collectFrames(out, m.gateway.frames())
}

// collectFeeds sends what became of pictures for the push: cameras that there are.
func (g *Gateway) collectFeeds(out chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for camera, feed := range g.feeds {
		for outcome, n := range feed.ended {
			out <- prometheus.MustNewConstMetric(pushedDesc, prometheus.CounterValue, float64(n.Load()), camera, outcome)
		}
	}
}

// frames add up the lanes of one instant.
func (g *Gateway) frames() (sum dispatch.Counters) {
	for _, stream := range g.dispatcher.Snapshot().Streams {
		if Takes(stream.Name) {
			c := stream.Counters
			sum.Captured += c.Captured
			sum.Inferred += c.Inferred
			sum.InFlight += c.InFlight
			sum.Superseded += c.Superseded
			sum.NoSlot += c.NoSlot
			sum.Aborted += c.Aborted
			sum.Abandoned += c.Abandoned
			sum.LentAgain += c.LentAgain
		}
	}
	return sum
}

func collectFrames(out chan<- prometheus.Metric, c dispatch.Counters) {
	out <- prometheus.MustNewConstMetric(takenDesc, prometheus.CounterValue, float64(c.Captured))
	out <- prometheus.MustNewConstMetric(againDesc, prometheus.CounterValue, float64(c.LentAgain))
	out <- prometheus.MustNewConstMetric(flyingDesc, prometheus.GaugeValue, float64(c.InFlight))
	for fate, n := range map[dispatch.Fate]uint64{
		dispatch.Inferred: c.Inferred, dispatch.Superseded: c.Superseded, dispatch.NoSlot: c.NoSlot,
		dispatch.Aborted: c.Aborted, dispatch.Abandoned: c.Abandoned,
	} {
		out <- prometheus.MustNewConstMetric(framesDesc, prometheus.CounterValue, float64(n), fate.String())
	}
}

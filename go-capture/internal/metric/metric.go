// SPDX-License-Identifier: Apache-2.0

// Package metric names everything that /metrics tells, once, beside the page that explains it.
package metric

import "github.com/prometheus/client_golang/prometheus"

// StageBuckets reach from a hand-off (tens of microseconds) to a slow network on a small board, in seconds.
var StageBuckets = []float64{0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2}

// Metric is one line of docs/reference/metrics.md.
type Metric struct {
	Name, Help string
	Labels     []string
}

// Desc is for a figure that somebody else counts and that is read when Prometheus asks.
func (m Metric) Desc() *prometheus.Desc { return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil) }

// Counters count by themselves.
func (m Metric) Counters() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

// StageTimes are histograms of seconds.
func (m Metric) StageTimes() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: StageBuckets}, m.Labels)
}

// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"github.com/prometheus/client_golang/prometheus"

	"visavis/capture/internal/metric"
)

var (
	replacedDesc  = metric.BrokerResultsReplacedTotal.Desc()
	forgottenDesc = metric.HistoryDroppedTotal.Desc()
)

// losses are the metrics of what was taken but reached no broker, or not the history.
type losses struct{ appliance *Appliance }

// Describe lists the metrics that Collect sends.
func (losses) Describe(out chan<- *prometheus.Desc) {
	out <- replacedDesc
	out <- forgottenDesc
}

// Collect sends the figures of this instant.
func (l losses) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(forgottenDesc, prometheus.CounterValue, float64(l.appliance.history.Forgotten()))
	if l.appliance.mqtt == nil {
		return
	}
	for _, broker := range l.appliance.mqtt.States() {
		out <- prometheus.MustNewConstMetric(replacedDesc, prometheus.CounterValue, float64(broker.Replaced), broker.Name)
	}
}

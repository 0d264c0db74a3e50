// SPDX-License-Identifier: Apache-2.0

package payload

import (
	"encoding/json"
	"maps"
	"testing"

	"visavis/capture/internal/hub"
)

func TestMetricsAndPayloadsCallTheStagesTheSame(t *testing.T) {
	latency := hub.Latency{Capture: 1, Queue: 2, Handoff: 3, Infer: 4, Publish: 5, Total: 15}
	text, err := json.Marshal(LatencyOf(latency))
	if err != nil {
		t.Fatal(err)
	}
	var written map[string]float64
	if err := json.Unmarshal(text, &written); err != nil {
		t.Fatal(err)
	}
	named := map[string]float64{}
	for _, stage := range latency.Stages() {
		named[stage.Name] = stage.Ms
	}
	if !maps.Equal(named, written) {
		t.Errorf("metrics have %v, payloads %v", named, written)
	}
}

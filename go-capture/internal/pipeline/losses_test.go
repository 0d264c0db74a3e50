// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"visavis/capture/internal/event"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/zone"
)

// No broker is there and no disk takes the history: neither runs yet.
func TestMetricsTellWhatNoBrokerAndNoDiskTookInTime(t *testing.T) {
	a := configured(t, "VISAVIS_MQTT__URL=mqtt://127.0.0.1:1")
	for seq := range uint64(5) {
		a.mqtt.Take(&hub.Result{Camera: "door", Seq: seq})
	}
	for n := range 5_000 {
		a.history.Append(event.Event{Schema: 1, Type: zone.Appeared, ID: fmt.Sprintf("%026d", n), Camera: "door"})
	}
	if a.history.Forgotten() == 0 {
		t.Fatal("memory has no end")
	}
	answer := httptest.NewRecorder()
	a.web.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/metrics", nil))
	for _, line := range []string{
		`visavis_broker_results_replaced_total{broker="mqtt"} 4`,
		fmt.Sprintf("visavis_history_dropped_total %d", a.history.Forgotten()),
	} {
		if !strings.Contains(answer.Body.String(), "\n"+line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
}

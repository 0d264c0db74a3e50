// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"reflect"
	"testing"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/mqtt"
)

func TestTheInfoNamesWhatTheConnectedWorkersRun(t *testing.T) {
	type state = dispatch.WorkerState
	for _, c := range []struct {
		workers []state
		want    mqtt.Info
	}{
		{nil, mqtt.Info{}},
		{[]state{{Model: "centerface", Backend: "onnxruntime", Precision: "fp32"}},
			mqtt.Info{Model: "centerface", Backend: "onnxruntime", Precision: "fp32"}},
		{[]state{{Model: "centerface"}, {Model: "centerface", Backend: "fake"}}, mqtt.Info{Model: "centerface", Backend: "fake"}},
		{[]state{{Model: "b", Backend: "tensorrt", Precision: "int8"}, {Model: "a", Backend: "onnxruntime", Precision: "fp32", Fallback: true},
			{Model: "b", Backend: "tensorrt", Precision: "int8"}},
			mqtt.Info{Model: "a,b", Backend: "onnxruntime,tensorrt", Precision: "fp32,int8", Fallback: true}},
	} {
		if got := running(c.workers); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v run %+v, want %+v", c.workers, got, c.want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"testing"

	"visavis/capture/internal/dispatch"
)

func TestTheInfoNamesWhatTheConnectedWorkersRun(t *testing.T) {
	for _, c := range []struct {
		workers        []dispatch.WorkerState
		model, backend string
	}{
		{nil, "", ""},
		{[]dispatch.WorkerState{{Model: "centerface", Backend: "onnxruntime"}}, "centerface", "onnxruntime"},
		{[]dispatch.WorkerState{{Model: "centerface"}, {Model: "centerface", Backend: "fake"}}, "centerface", "fake"},
		{[]dispatch.WorkerState{{Model: "b", Backend: "tensorrt"}, {Model: "a", Backend: "onnxruntime"}, {Model: "b", Backend: "tensorrt"}},
			"a,b", "onnxruntime,tensorrt"},
	} {
		if model, backend := running(c.workers); model != c.model || backend != c.backend {
			t.Errorf("%+v run %q on %q, want %q on %q", c.workers, model, backend, c.model, c.backend)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"visavis/capture/internal/control"
	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/mqtt"
	"visavis/capture/internal/payload"
	"visavis/capture/internal/web"
)

// There are no descriptors left for its ring.
func TestACameraThatIsRefusedIsInTheStatusWithTheReasonAndTheRemedy(t *testing.T) {
	a := configured(t, "VISAVIS_CAMERA__0__ID=door", "VISAVIS_CAMERA__0__SOURCE=demo:", "VISAVIS_CAMERA__0__PRIVACY=blur")
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	if seen := (*view)(a).Status().Cameras; len(seen) != 1 || seen[0].State != web.CameraStarting {
		t.Errorf("before the first try: %+v", seen)
	}
	restore := withoutDescriptors(t)
	all := a.startMissing(ctx, &running, a.config.Cameras)
	restore()
	seen := (*view)(a).Status().Cameras
	if all || len(seen) != 1 || seen[0].ID != "door" || seen[0].State != web.CameraLost || seen[0].Privacy != "blur" {
		t.Fatalf("refused: %t, %+v", !all, seen)
	}
	for _, words := range []string{"too many open files", "LimitNOFILE"} {
		if !strings.Contains(seen[0].Error, words) {
			t.Errorf("the reason is %q, want %q in it", seen[0].Error, words)
		}
	}
	if _, told := a.stats().Cameras["door"]; !told {
		t.Error("its figures are not sent")
	}
	for path, want := range map[string]int{"/api/v1/cameras/door": http.StatusOK, "/api/v1/cameras/door/snapshot.jpg": http.StatusServiceUnavailable,
		"/api/v1/cameras/yard/snapshot.jpg": http.StatusNotFound} {
		answer := httptest.NewRecorder()
		a.web.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil))
		if answer.Code != want {
			t.Errorf("%s: %d %s, want %d", path, answer.Code, answer.Body, want)
		}
	}
	all = a.startMissing(ctx, &running, a.config.Cameras)
	seen = (*view)(a).Status().Cameras // of a demo without pictures, which it may have found out already
	if !all || strings.Contains(seen[0].Error, "LimitNOFILE") {
		t.Errorf("started: %t, %+v", all, seen)
	}
}

func TestTheBrokerIsToldTheSameLossesAsThePageAlsoOfACameraThatCameBack(t *testing.T) {
	a := configured(t, "VISAVIS_CAMERA__0__ID=door", "VISAVIS_CAMERA__0__SOURCE=demo:")
	for range 2 {
		c, err := a.newCamera(a.config.Cameras[0])
		if err != nil {
			t.Fatal(err)
		}
		c.stream.Acquire().Abort()
		c.cancel = func() { close(c.ended) }
		c.stop()
		a.forget("door")
	}
	shown, sent := (*view)(a).Status().Cameras[0].Frames.Dropped, payload.Dropped(a.stats().Cameras["door"].Dropped)
	if shown.Aborted != 2 || sent != shown {
		t.Errorf("the page shows %+v, the broker is told %+v", shown, sent)
	}
}

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

func TestACameraIsLookedAtWhereItDeliversToAWorkerThatAnswers(t *testing.T) {
	a := configured(t, "VISAVIS_CAMERA__0__ID=door", "VISAVIS_CAMERA__0__SOURCE=demo:")
	c, err := a.newCamera(a.config.Cameras[0])
	if err != nil {
		t.Fatal(err)
	}
	c.cancel = func() { close(c.ended) }
	defer c.stop()
	delivers := func(workers int) bool {
		return (place{running: c}).delivers(dispatch.Snapshot{Workers: make([]dispatch.WorkerState, workers)})
	}
	for name, one := range map[string]struct {
		detect, online bool
		workers        int
		want           bool
	}{
		"a worker":              {true, true, 1, true},
		"no worker":             {true, true, 0, false},
		"a camera that is lost": {true, false, 1, false},
		"detection off":         {false, true, 1, false},
	} {
		if _, err := a.change("door", control.Order{Name: control.Detect, On: one.detect}); err != nil {
			t.Fatal(err)
		}
		c.online.Store(one.online)
		if got := delivers(one.workers); got != one.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if (place{}).delivers(dispatch.Snapshot{Workers: make([]dispatch.WorkerState, 1)}) {
		t.Error("one that does not run does")
	}
	c.online.Store(true)
	if a.looksAt(place{settings: c.settings, running: c}, dispatch.Snapshot{Workers: make([]dispatch.WorkerState, 1)}) {
		t.Error("a worker that has answered nothing looks")
	}
}

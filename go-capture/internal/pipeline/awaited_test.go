// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"testing"
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/dispatch/dispatchtest"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/waiting"
)

// The only worker has another camera's frame, and this one's waits for it: nobody is taken to have gone, for nobody looks.
func TestTheHubHearsWhichFramesAreAwaited(t *testing.T) {
	a := configured(t, "VISAVIS_WORKER__LEASE_MS=60000")
	dispatchtest.Stuck(t, a.dispatcher)
	for _, camera := range []string{"hall", "door"} {
		stream, err := a.dispatcher.AddStream(dispatch.StreamSpec{Name: camera, Width: 32, Height: 32})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stream.Retire)
		stream.Acquire().Publish(dispatch.Frame{})
	}
	w := hub.DefaultWatch()
	w.Tracker.Hits, w.Tracker.LostAfter = 1, 100*time.Millisecond
	for _, camera := range []string{"door", "yard"} { // the yard gives nothing more
		a.hub.CameraAdded(camera, w)
		a.outcome(dispatch.Outcome{Stream: camera, Seq: 1, Fate: dispatch.Inferred})
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.hub.Run(ctx) }()
	waiting.Until(t, "it looks", func() bool { return a.hub.Detecting("door") && a.hub.Detecting("yard") })
	waiting.Until(t, "it is noticed that nothing comes", func() bool { return !a.hub.Detecting("yard") })
	if !a.hub.Detecting("door") {
		t.Error("it looks no more, though its frame is awaited")
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

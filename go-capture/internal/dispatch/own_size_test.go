// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"testing"

	"visavis/capture/internal/geometry"
	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// large is a stream of guests' frames of up to 128x128 pixels, of which 32x16 count as one frame.
func (h *house) large() *Stream {
	h.t.Helper()
	s, err := h.AddStream(StreamSpec{Name: "@large", Width: 128, Height: 128, Slots: 2, Depth: 2, Guest: true, OwnSize: true, Unit: 32 * 16})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(s.Retire)
	return s
}

func publishLarge(s *Stream, width, height int) {
	slot := s.Acquire()
	slot.Publish(Frame{CapturedNs: now(), ReadyNs: now(), Letterbox: geometry.Letterbox{Width: width, Height: height, Scale: 1}})
}

func TestAFrameOfItsOwnSizeIsLentAsSuchAndForAsLongAsItsWorkTakes(t *testing.T) {
	h := newHouse(t, Options{LeaseMs: 100_000})
	s, p := h.large(), h.worker(1)
	for _, c := range []struct{ width, height, leaseMs uint32 }{{64, 32, 400_000}, {32, 16, 100_000}, {8, 8, 100_000}, {128, 128, 3_200_000}} {
		publishLarge(s, int(c.width), int(c.height))
		m, _ := p.frame()
		want := ring.Plane{Bytes: 3 * c.width * c.height, Stride: 3 * c.width, Rows: c.height}
		if m.Width != c.width || m.Height != c.height || m.Planes[0] != want || m.LeaseMs != c.leaseMs {
			t.Fatalf("%dx%d is lent as %dx%d in %+v for %d ms", c.width, c.height, m.Width, m.Height, m.Planes[0], m.LeaseMs)
		}
		p.answer(ring.Result{LeaseID: m.LeaseID}, ring.Detection{X2: 1000, Y2: 1000, Score: 1})
		h.inferred("@large", c.width, c.height)
	}
}

// inferred waits for the newest outcome and compares the corner of its face.
func (h *house) inferred(name string, width, height uint32) {
	h.t.Helper()
	waiting.Until(h.t, "the frame is inferred", func() bool { return h.counters(name).InFlight == 0 })
	h.mu.Lock()
	defer h.mu.Unlock()
	found := h.outcomes[len(h.outcomes)-1].Detections
	if len(found) != 1 || found[0].X2 != float32(width) || found[0].Y2 != float32(height) {
		h.t.Fatalf("a face beyond a frame of %dx%d became %+v", width, height, found)
	}
}

func TestALargeFrameMayTakeItsTimeWhileASmallOneMayNot(t *testing.T) {
	h := newHouse(t, Options{LeaseMs: 500, MaxWorkers: 2})
	s := h.large()
	patient := h.worker(1)
	publishLarge(s, 128, 128) // 32 frames' work: 16 s
	m, _ := patient.frame()
	camera := h.stream("door")
	stuck := h.worker(1)
	publish(camera)
	stuck.frame()
	waiting.Until(t, "the worker that holds a small frame is gone", func() bool { return len(h.Snapshot().Workers) == 1 })
	patient.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "the large frame is inferred", func() bool { return h.counters("@large").Inferred == 1 })
}

func TestALargeFrameCountsAsItsWork(t *testing.T) {
	for share, want := range map[float64]int{0.5: 320, 0.25: 960, 0.8: 80} {
		d := New(Options{GuestShare: share})
		camera := &Stream{dispatcher: d}
		guest := &Stream{dispatcher: d, spec: StreamSpec{Guest: true, OwnSize: true, Unit: 1}}
		d.streams = []*Stream{camera, guest}
		cameras := 0
		for guests := 0; guests < 10; {
			next := nextOf(d, camera, guest)
			if next == guest {
				guests++
			} else {
				cameras++
			}
		}
		if off := want/10 + 3; cameras < want-off || cameras > want+off { // where in a turn it ends
			t.Errorf("share %v: 10 frames of 32 frames' work each beside %d of cameras, want about %d", share, cameras, want)
		}
	}
}

// nextOf serves one of two streams that both always have something waiting; the guest's frames are of 32 pixels.
func nextOf(d *Dispatcher, camera, guest *Stream) *Stream {
	for _, s := range []*Stream{camera, guest} {
		s.pending = []*Slot{{stream: s, state: pending, frame: Frame{Letterbox: geometry.Letterbox{Width: 8, Height: 4}}}}
	}
	return serveNext(d)
}

func TestTheTimeOfALargeFrameIsCountedForOneOfItsFrames(t *testing.T) {
	h := newHouse(t, Options{})
	s, p := h.large(), h.worker(1)
	publishLarge(s, 128, 128)
	m, _ := p.frame()
	p.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "the frame is inferred", func() bool { return h.counters("@large").Inferred == 1 })
	h.mu.Lock()
	tookNs := float64(h.outcomes[0].ResultNs - h.outcomes[0].DispatchNs)
	h.mu.Unlock()
	if got := h.Snapshot().Workers[0].ServiceMs * 1e6; got < tookNs/33 || got > tookNs/31 {
		t.Errorf("32 frames' work in %.0f ns count as %.0f ns a frame", tookNs, got)
	}
}

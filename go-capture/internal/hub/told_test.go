// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"fmt"
	"testing"
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/ring"
	"visavis/capture/internal/zone"
)

// bring lets one face come in frames, with these scores; 0 is none.
func bring(h *Hub, scores []float32, stepNs, onTheWayNs int64) {
	beganNs := frame.MonotonicNs() - onTheWayNs
	for n, score := range scores {
		a := outcome("door", uint64(n+1), dispatch.Inferred)
		a.capturedNs = beganNs + int64(n)*stepNs
		if score > 0 {
			a.detections = []ring.Detection{{X1: 290, Y1: 210, X2: 350, Y2: 270, Score: score}}
		}
		h.append(entry{arrival: a})
	}
	h.drain()
}

func TestAFaceThatALowerScoreTellsStaysHiddenWhenItDips(t *testing.T) {
	leaf := &listener{}
	h := New(leaf)
	h.ScoreChanged("door", 0.4)
	bring(h, []float32{0.45, 0.35, 0.45, 0.35}, 1e6, 0)
	for _, r := range leaf.results {
		if len(r.Faces)+len(r.Unsure) != 1 {
			t.Errorf("frame %d: %v told, %v hidden", r.Seq, scores(r.Faces), scores(r.Unsure))
		}
	}
}

func TestWhoIsFollowedStaysHiddenBelowTheOrderedScore(t *testing.T) {
	w, leaf := DefaultWatch(), &listener{}
	w.Begins = 0.3
	h := New(leaf)
	h.CameraAdded("door", w)
	h.ScoreChanged("door", 0.4)
	bring(h, []float32{0.45, 0.45, 0.45, 0.35}, 1e6, 0)
	if r := leaf.results[3]; fmt.Sprint(scores(r.Unsure)) != "[0.35]" {
		t.Errorf("%v hidden", scores(r.Unsure))
	}
}

func TestAnOrderBeginsNoVisitBelowTheTrackersScore(t *testing.T) {
	d := &diary{}
	h := New(d)
	h.ScoreChanged("door", 0.3) // told from 0.3 on, but a visit begins with tracker.score
	bring(h, []float32{0.4, 0.4, 0.4, 0.4}, 1e6, 0)
	d.expect(t, "door looks")
	if len(d.tracks) != 4 {
		t.Errorf("%d faces were told, want 4", len(d.tracks))
	}
}

func TestAResultSaysWhenItWasTaken(t *testing.T) {
	leaf := &listener{}
	h := New(leaf)
	bring(h, []float32{0.9}, 0, int64(3*time.Second))
	if age := time.Since(leaf.results[0].CapturedAt); age < 3*time.Second || age > time.Minute {
		t.Errorf("a picture of 3 s ago is told to be of %v ago", age)
	}
}

func TestAModelWithoutLandmarksTellsNone(t *testing.T) {
	leaf := &listener{}
	h := New(leaf)
	bring(h, []float32{0.9}, 0, 0)
	if got := leaf.results[0].Faces[0].Landmarks; got != nil {
		t.Errorf("a model without landmarks told %v", got)
	}
}

func TestAResultIsOccupiedAfterTheDelays(t *testing.T) {
	for _, c := range []struct {
		delays zone.Delays
		want   string
	}{{zone.Delays{On: time.Hour}, "[false false false false false false]"}, {zone.Delays{Off: time.Hour}, "[false false true true true true]"}} {
		w, leaf := DefaultWatch(), &listener{}
		w.Places.Occupied = c.delays
		h := New(leaf)
		h.CameraAdded("door", w)
		bring(h, []float32{0.9, 0.9, 0.9, 0, 0, 0}, int64(900*time.Millisecond), 0)
		var got []bool
		for _, r := range leaf.results {
			got = append(got, r.Occupied)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%+v: %v, want %v", c.delays, got, c.want)
		}
	}
}

func TestTimesAreOfTheNewestResults(t *testing.T) {
	h := New()
	for seq := uint64(1); seq <= 2*latencyResults; seq++ {
		a := outcome("door", seq, dispatch.Inferred)
		if seq <= latencyResults {
			a.capturedNs -= int64(time.Minute) // a worker was slow once
		}
		a.readyNs = a.capturedNs
		h.append(entry{arrival: a})
	}
	h.drain()
	if p50 := h.Snapshot("door").P50.Total; p50 > 30_000 {
		t.Errorf("the median of the newest results is %.0f ms", p50)
	}
}

func TestAResultThatComesTwiceIsToldOnce(t *testing.T) {
	d := &diary{}
	h := New(d)
	bring(h, []float32{0.9, 0.9, 0.9}, 1e6, 0)
	h.append(entry{arrival: outcome("door", 2, dispatch.Inferred)}) // told twice
	h.drain()
	h.tick(frame.MonotonicNs() + int64(time.Minute))
	d.expect(t, "appeared 1", "door 1 true", "door looks", "door looks no more", "gone 1", "door 0 true")
}

func TestASilentCameraHasNoRate(t *testing.T) {
	h := New()
	bring(h, []float32{0.9}, 0, 0)
	if f := h.cameras["door"].figures(frame.MonotonicNs() + windowNs + 1); f.FPSCaptured != 0 || f.FPSInferred != 0 {
		t.Errorf("a camera that has been silent for 5 s has %.1f and %.1f fps", f.FPSCaptured, f.FPSInferred)
	}
}

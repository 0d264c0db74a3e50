// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

func TestMain(m *testing.M) { waiting.ForGoroutines(m) }

// listener keeps what a leaf hears.
type listener struct {
	mu      sync.Mutex
	results []Result
	states  []State
}

func (l *listener) Take(r *Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results = append(l.results, *r)
}

func (l *listener) TakeState(s State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states = append(l.states, s)
}

func (l *listener) heard() ([]Result, []State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Result(nil), l.results...), append([]State(nil), l.states...)
}

// runs lets a hub run until the test ends.
func runs(t *testing.T, h *Hub) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

var box = geometry.Fit(1280, 720, 640, 480)

func outcome(camera string, seq uint64, end dispatch.Fate) *arrival {
	return &arrival{camera: camera, seq: seq, fate: end, letterbox: box, capturedNs: frame.MonotonicNs()}
}

func TestSubscribersCanAddUpWhateverTheFatesAndTheirOrder(t *testing.T) {
	pool := frame.NewPool(64)
	rapid.Check(t, func(t *rapid.T) {
		fates := rapid.SliceOfN(rapid.IntRange(int(dispatch.Inferred), int(dispatch.Abandoned)), 1, 60).Draw(t, "fates")
		order := rapid.Permutation(indices(len(fates))).Draw(t, "order of completion")
		leaf := &listener{}
		h := New(leaf)
		for _, i := range order {
			picture, ok := pool.Get()
			if !ok {
				t.Fatal("pictures leaked")
			}
			a := outcome("door", uint64(i+1), dispatch.Fate(fates[i]))
			a.picture = picture
			h.append(entry{arrival: a})
		}
		h.drain()
		addsUp(t, leaf.results, fates)
		allPicturesAreBack(t, pool, 64)
	})
}

// One worker of several hangs with the first frame; the others go on, and so does the camera, which needs a picture for each.
func TestFramesThatWaitForAnEarlierOneKeepFewPictures(t *testing.T) {
	const last = 100
	pool := frame.NewPool(picturesMost + 1)
	h, leaf := New(), &listener{}
	h.leaves = append(h.leaves, leaf)
	for seq := uint64(2); seq <= last; seq++ {
		a, ok := outcome("door", seq, dispatch.Inferred), false
		if a.picture, ok = pool.Get(); !ok {
			t.Fatalf("there is no picture for frame %d", seq)
		}
		h.append(entry{arrival: a})
		h.drain()
	}
	h.append(entry{arrival: outcome("door", 1, dispatch.Abandoned)})
	h.drain()
	if len(leaf.results) != last-1 || leaf.results[0].Dropped.Abandoned != 1 {
		t.Fatalf("%d results, want %d", len(leaf.results), last-1)
	}
	if leaf.results[0].Picture != nil || leaf.results[last-2].Picture == nil {
		t.Error("it is not the newest ones that have pictures")
	}
	for range picturesMost + 1 {
		if _, ok := pool.Get(); !ok {
			t.Fatal("a picture was lost")
		}
	}
}

func addsUp(t *rapid.T, results []Result, fates []int) {
	var want []uint64
	for i, f := range fates {
		if dispatch.Fate(f) == dispatch.Inferred {
			want = append(want, uint64(i+1))
		}
	}
	if len(results) != len(want) {
		t.Fatalf("%d results, want %d", len(results), len(want))
	}
	before := uint64(0)
	for i, r := range results {
		var between Dropped
		for _, f := range fates[before : r.Seq-1] {
			between.count(dispatch.Fate(f))
		}
		if r.Seq != want[i] || r.Seq-before != 1+r.Dropped.Sum() || r.Dropped != between {
			t.Fatalf("frame %d after %d with dropped %+v, want frame %d with %+v", r.Seq, before, r.Dropped, want[i], between)
		}
		before = r.Seq
	}
}

func allPicturesAreBack(t interface{ Fatalf(string, ...any) }, pool *frame.Pool, most int) {
	var held []*frame.Picture
	for range most {
		p, ok := pool.Get()
		if !ok {
			t.Fatalf("only %d of %d pictures came back", len(held), most)
		}
		held = append(held, p)
	}
	for _, p := range held {
		p.Release()
	}
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func TestAResultWaitsForTheSlowerFrameBeforeIt(t *testing.T) {
	leaf := &listener{}
	h := New(leaf)
	h.append(entry{arrival: outcome("door", 2, dispatch.Inferred)})
	h.drain()
	if len(leaf.results) != 0 {
		t.Fatal("frame 2 overtook frame 1")
	}
	h.append(entry{arrival: outcome("door", 1, dispatch.Inferred)})
	h.drain()
	if len(leaf.results) != 2 || leaf.results[0].Seq != 1 {
		t.Fatalf("results %+v, want frames 1 and 2", leaf.results)
	}
}

func TestCamerasDoNotWaitForEachOther(t *testing.T) {
	leaf := &listener{}
	h := New(leaf)
	h.append(entry{arrival: outcome("door", 2, dispatch.Inferred)})
	h.append(entry{arrival: outcome("yard", 1, dispatch.Inferred)})
	h.drain()
	if len(leaf.results) != 1 || leaf.results[0].Camera != "yard" {
		t.Fatalf("results %+v, want one of the yard", leaf.results)
	}
}

func TestFacesComeBackInPixelsOfTheSource(t *testing.T) {
	leaf := &listener{}
	h := New(leaf)
	a := outcome("door", 1, dispatch.Inferred)
	a.detections = []ring.Detection{{
		X1: 10, Y1: 70, X2: 30, Y2: 100, Score: 0.5, Landmarks: [5][2]float32{{15, 80}}, Flags: ring.DetectionFlagLandmarks,
	}}
	h.append(entry{arrival: a})
	h.drain()
	r := leaf.results[0]
	if r.Faces[0].Box != (geometry.Box{X: 20, Y: 20, W: 40, H: 60}) || r.Faces[0].Landmarks[0] != (geometry.Point{X: 30, Y: 40}) {
		t.Fatalf("face %+v, want box 20,20 40x60 and landmark 30,40", r.Faces[0])
	}
	if r.Width != 1280 || r.Height != 720 {
		t.Fatalf("picture %dx%d, want 1280x720", r.Width, r.Height)
	}
}

func TestAFaceCostsOneAllocation(t *testing.T) {
	found := make([]ring.Detection, 3)
	for i := range found {
		found[i] = ring.Detection{X1: 10, Y1: 70, X2: 30, Y2: 100, Flags: ring.DetectionFlagLandmarks}
	}
	if made := testing.AllocsPerRun(10, func() { FacesOf(found, box) }); made > float64(1+len(found)) {
		t.Errorf("%.0f allocations for %d faces", made, len(found))
	}
}

func TestWhatIsFoundBesideThePictureIsNoFace(t *testing.T) {
	above := ring.Detection{X1: 10, Y1: 5, X2: 30, Y2: 55}
	if faces := FacesOf([]ring.Detection{above, {X1: 10, Y1: 5, X2: 30, Y2: 65}}, box); len(faces) != 1 {
		t.Errorf("%+v", faces)
	}
}

func TestAResultNamesItsModelWithoutTheBackend(t *testing.T) {
	leaf := &listener{}
	h := New(leaf)
	h.Outcome(dispatch.Outcome{Stream: "door", Seq: 1, Model: "centerface@onnxruntime", Frame: dispatch.Frame{Letterbox: box}})
	h.Outcome(dispatch.Outcome{Stream: "door", Seq: 2, Model: "centerface", Frame: dispatch.Frame{Letterbox: box}})
	h.drain()
	for _, r := range leaf.results {
		if r.Model != "centerface" {
			t.Errorf("frame %d names model %q, want centerface", r.Seq, r.Model)
		}
	}
	if len(leaf.results) != 2 {
		t.Fatalf("%d results, want 2", len(leaf.results))
	}
}

func TestTheStagesAddUpToTheTotal(t *testing.T) {
	leaf := &listener{}
	h := New(leaf)
	a := outcome("door", 1, dispatch.Inferred)
	start := a.capturedNs
	a.readyNs, a.dispatchNs = start+1e6, start+3e6
	a.inferBeginNs, a.inferEndNs, a.resultNs = start+3_200_000, start+13_200_000, start+13_500_000
	h.append(entry{arrival: a})
	h.drain()
	l := leaf.results[0].Latency
	if fmt.Sprintf("%.3f %.3f %.3f %.3f", l.Capture, l.Queue, l.Handoff, l.Infer) != "1.000 2.000 0.500 10.000" {
		t.Fatalf("stages %+v, want capture 1, queue 2, handoff 0.5, infer 10", l)
	}
	if sum := l.Capture + l.Queue + l.Handoff + l.Infer + l.Publish; sum-l.Total > 1e-6 || l.Total-sum > 1e-6 {
		t.Fatalf("stages %+v do not add up", l)
	}
}

func TestANewStreamOfTheSameNameGoesOnAndOldResultsAreNotShown(t *testing.T) {
	leaf := &listener{}
	h := New(leaf)
	stale := outcome("door", 3, dispatch.Inferred)
	pool := frame.NewPool(1)
	stale.picture, _ = pool.Get()
	h.append(entry{arrival: outcome("door", 1, dispatch.Inferred)})
	h.append(entry{arrival: outcome("door", 2, dispatch.NoSlot)})
	h.CameraRemoved("door")
	h.append(entry{arrival: outcome("door", 4, dispatch.Inferred)})
	h.append(entry{arrival: stale})
	h.drain()
	if len(leaf.results) != 2 || leaf.results[1].Seq != 4 {
		t.Fatalf("results %+v, want frames 1 and 4", leaf.results)
	}
	if got := leaf.results[1].Dropped; got != (Dropped{NoSlot: 1, Superseded: 1}) {
		t.Fatalf("dropped before frame 4: %+v, want one no_slot and one superseded", got)
	}
	allPicturesAreBack(t, pool, 1)
}

func TestFramesOfARetiredStreamCountForNothingInTheNext(t *testing.T) {
	h := New()
	before := frame.MonotonicNs()
	late := []*arrival{outcome("door", 1, dispatch.Inferred), outcome("door", 2, dispatch.Abandoned)}
	h.CameraRemoved("door")
	for _, a := range late {
		h.append(entry{arrival: a})
	}
	h.drain()
	if f := h.cameras["door"].figures(before); f.FPSCaptured != 0 || f.FPSInferred != 0 {
		t.Errorf("frames of the stream before count as %.1f and %.1f fps", f.FPSCaptured, f.FPSInferred)
	}
	h.append(entry{arrival: &arrival{camera: "door", seq: 3, fate: dispatch.NoSlot}}) // as the dispatcher tells of it
	h.append(entry{arrival: outcome("door", 4, dispatch.Inferred)})
	h.drain()
	if f := h.cameras["door"].figures(before); f.FPSCaptured != 2/5. || f.FPSInferred != 1/5. {
		t.Errorf("a frame without a slot and one with a result within 5 s are %.1f and %.1f fps", f.FPSCaptured, f.FPSInferred)
	}
}

func TestFacesAndOccupiedFallWhenTheCameraGoesSilent(t *testing.T) {
	leaf := &listener{}
	h := New(leaf)
	stay(h, 1, 3)
	runs(t, h)
	want := []State{{"door", "", 1, true}, {"door", "", 0, true}, {"door", "", 0, false}}
	waiting.Until(t, "occupied on, then no faces, then off", func() bool { _, states := leaf.heard(); return len(states) == 3 })
	if _, states := leaf.heard(); fmt.Sprint(states) != fmt.Sprint(want) {
		t.Fatalf("states %v, want %v", states, want)
	}
	if figures := h.Snapshot("door"); figures.Faces != 0 || figures.Occupied {
		t.Fatalf("figures %+v, want an empty camera", figures)
	}
}

func TestNothingIsHeldWhenTheHubEndsNorOfWhatComesLater(t *testing.T) {
	pool := frame.NewPool(2)
	h := New()
	bring := func(seq uint64) {
		a := outcome("door", seq, dispatch.Inferred)
		a.picture, _ = pool.Get()
		h.append(entry{arrival: a})
	}
	bring(9)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Run(ctx); err != nil {
		t.Fatal(err)
	}
	bring(10)
	allPicturesAreBack(t, pool, 2)
}

func TestTheSpreadIsThatOfEachStageByItself(t *testing.T) {
	var latencies []Latency
	for i := range 201 {
		latencies = append(latencies, Latency{Capture: float64(i), Total: float64(1000 - i)})
	}
	median, high := spread(latencies)
	if want := (Latency{Capture: 100, Total: 900}); median != want {
		t.Errorf("median %+v, want %+v", median, want)
	}
	if want := (Latency{Capture: 198, Total: 998}); high != want {
		t.Errorf("99th percentile %+v, want %+v", high, want)
	}
	if median, high := spread(nil); median != (Latency{}) || high != (Latency{}) {
		t.Errorf("of nothing: %+v, %+v", median, high)
	}
}

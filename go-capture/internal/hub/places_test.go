// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/event"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/ring"
	"visavis/capture/internal/track"
	"visavis/capture/internal/zone"
)

// diary keeps events and states in the order in which it heard them.
type diary struct {
	mu     sync.Mutex
	events []event.Event
	lines  []string
	tracks []uint64
	unsure []uint64 // tracks of faces that are only hidden
}

func (d *diary) Take(r *Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range r.Faces {
		d.tracks = append(d.tracks, f.Track)
	}
	for _, f := range r.Unsure {
		d.unsure = append(d.unsure, f.Track)
	}
}

func (d *diary) TakeEvent(e event.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
	d.lines = append(d.lines, strings.Join(strings.Fields(fmt.Sprint(e.Type, " ", e.Track, " ", e.Zone, e.Line)), " "))
}

func (d *diary) TakeState(s State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, strings.Join(strings.Fields(fmt.Sprint(s.Camera, " ", s.Zone, " ", s.Confirmed, " ", s.Occupied)), " "))
}

func (d *diary) TakeDetecting(camera string, detecting bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, camera+map[bool]string{true: " looks", false: " looks no more"}[detecting])
}

func (d *diary) expect(t *testing.T, want ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if strings.Join(d.lines, "\n") != strings.Join(want, "\n") {
		t.Fatalf("heard\n%s\nwant\n%s", strings.Join(d.lines, "\n"), strings.Join(want, "\n"))
	}
	d.lines = nil
}

// stepZone is the middle of the picture; the network's input of 640x480 shows the picture from y = 60 to 420.
func watchStep() Watch {
	w := DefaultWatch()
	w.Places.Zones = []zone.Zone{{Name: "step", Polygon: zone.Polygon{{X: 0.3, Y: 0.3}, {X: 0.7, Y: 0.3}, {X: 0.7, Y: 0.7}, {X: 0.3, Y: 0.7}}}}
	return w
}

// stay appends frames with a face of 60x60 pixels of the input in the middle. However long that takes, they are of one moment: nobody is
// lost between two of them.
func stay(h *Hub, first, frames uint64) {
	capturedNs := frame.MonotonicNs()
	for n := range frames {
		a := outcome("door", first+n, dispatch.Inferred)
		a.capturedNs = capturedNs + int64(n)*int64(time.Microsecond)
		a.detections = []ring.Detection{{X1: 290, Y1: 210, X2: 350, Y2: 270, Score: 0.9}}
		h.append(entry{arrival: a})
	}
}

func TestAZoneOfItsOwnIsToldFromTheStartToTheEnd(t *testing.T) {
	d := &diary{}
	h := New(d)
	h.CameraAdded("door", watchStep())
	h.drain()
	d.expect(t, "door 0 false", "door step 0 false")
	stay(h, 1, 3)
	h.drain()
	d.expect(t, "appeared 1", "entered 1 step", "door 1 true", "door step 1 true", "door looks")
	h.CameraRemoved("door")
	h.drain()
	d.expect(t, "door looks no more", "left 1 step", "gone 1", "door 0 false", "door step 0 false")
}

// A worker that hangs answers nothing, and a face that nobody looks for is lost: that is told first, for it may still be there.
func TestThatResultsHaveEndedIsToldBeforeWhatFollows(t *testing.T) {
	d := &diary{}
	h := New(d)
	looks := func(want bool) {
		t.Helper()
		if h.Detecting("door") != want {
			t.Errorf("it looks: %t", !want)
		}
	}
	looks(false)
	w := watchStep()
	w.Tracker.Interval = time.Second
	h.CameraAdded("door", w)
	h.drain()
	looks(false)
	stay(h, 1, 3)
	h.drain()
	looks(true)
	d.lines = nil
	h.tick(frame.MonotonicNs() + int64(2*time.Second)) // three frames may be missing
	looks(true)
	d.expect(t)
	h.tick(frame.MonotonicNs() + int64(time.Minute))
	looks(false)
	d.expect(t, "door looks no more", "left 1 step", "gone 1", "door 0 true", "door step 0 false")
	h.tick(frame.MonotonicNs() + int64(2*time.Minute))
	d.expect(t, "door 0 false")
	h.append(entry{arrival: outcome("door", 4, dispatch.Abandoned)})
	h.drain()
	looks(false)
	stay(h, 5, 2) // a face is believed at its third frame: until then 0 says nothing
	h.drain()
	looks(false)
	stay(h, 7, 1)
	h.drain()
	looks(true)
}

func TestNumbersGoOnWhenACameraComesBackWithOtherSettings(t *testing.T) {
	d := &diary{}
	h := New(d)
	for round := range uint64(3) {
		h.CameraAdded("door", watchStep())
		stay(h, 3*round+1, 3)
		h.drain()
		if round == 1 {
			h.CameraRemoved("door")
		}
	}
	var appeared []uint64
	visits := map[string]int{}
	for _, e := range d.events {
		visits[e.Visit]++
		if e.Type == zone.Appeared {
			appeared = append(appeared, e.Track)
		}
	}
	if fmt.Sprint(appeared) != "[1 2 3]" || len(visits) != 3 {
		t.Fatalf("appeared %v in %d visits, want 1 2 3 in 3", appeared, len(visits))
	}
}

func TestAnIgnoredFaceIsShownButNotFollowed(t *testing.T) {
	d := &diary{}
	h := New(d)
	w := watchStep()
	w.Places.Masks = []zone.Polygon{{{X: 0.3, Y: 0.3}, {X: 0.7, Y: 0.3}, {X: 0.7, Y: 0.7}, {X: 0.3, Y: 0.7}}}
	h.CameraAdded("door", w)
	stay(h, 1, 5)
	h.drain()
	d.expect(t, "door 0 false", "door step 0 false", "door looks")
	if fmt.Sprint(d.tracks) != "[0 0 0 0 0]" {
		t.Fatalf("faces with tracks %v, want five without", d.tracks)
	}
}

// A picture that needs three seconds on its way through a slow worker shows a face that is there all the same.
func TestTheTimeOnTheWayDoesNotEndAFace(t *testing.T) {
	f := &follower{recorder: event.NewRecorder("door", event.NewIDs(), realClock)}
	f.begin(Watch{Tracker: track.Defaults()})
	const onTheWayNs, stepNs = int64(3 * time.Second), int64(500 * time.Millisecond)
	capturedNs := frame.MonotonicNs()
	for n := range 20 {
		faces := []Face{{Score: 0.9}}
		faces[0].Box.W, faces[0].Box.H = 50, 50
		capturedNs += stepNs
		f.frame(faces, 640, 480, capturedNs, capturedNs+onTheWayNs)
		for tick := int64(1); tick <= 5; tick++ {
			f.silence(capturedNs+onTheWayNs+tick*stepNs/5, 0)
		}
		if n >= 2 && faces[0].Track != 1 {
			t.Fatalf("track %d at frame %d", faces[0].Track, n)
		}
	}
	f.silence(capturedNs+onTheWayNs+int64(2*time.Second), 0)
	if events := f.takeEvents(); len(events) != 2 || events[1].Type != zone.Gone {
		t.Fatalf("events %+v, want appeared and gone", events)
	}
}

// One of two workers stalls until its lease ends; the other shows meanwhile that the face is there.
func TestAWorkerThatStallsEndsNoVisitThatAnotherSees(t *testing.T) {
	d := &diary{}
	h := New(d)
	const stepNs = int64(50 * time.Millisecond)
	beganNs := frame.MonotonicNs() - 45*stepNs
	bring := func(seq uint64, end dispatch.Fate) {
		a := outcome("door", seq, end)
		a.capturedNs = beganNs + int64(seq)*stepNs
		a.detections = []ring.Detection{{X1: 290, Y1: 210, X2: 350, Y2: 270, Score: 0.9}}
		h.append(entry{arrival: a})
		h.drain()
	}
	for seq := uint64(1); seq <= 5; seq++ {
		bring(seq, dispatch.Inferred)
	}
	for seq := uint64(7); seq <= 40; seq++ {
		bring(seq, dispatch.Inferred)
	}
	h.tick(frame.MonotonicNs() + int64(1500*time.Millisecond))
	bring(6, dispatch.Abandoned)
	d.expect(t, "appeared 1", "door 1 true", "door looks")
	if last := d.tracks[len(d.tracks)-1]; len(d.tracks) != 39 || last != 1 {
		t.Errorf("%d faces are told, the last with track %d", len(d.tracks), last)
	}
	h.tick(frame.MonotonicNs() + int64(time.Minute))
	d.expect(t, "door looks no more", "gone 1", "door 0 true")
}

func TestTheEndOfTheHubEndsEachVisit(t *testing.T) {
	d := &diary{}
	h := New(d)
	h.CameraAdded("door", watchStep())
	stay(h, 1, 3)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Run(ctx); err != nil {
		t.Fatal(err)
	}
	d.expect(t, "door 0 false", "door step 0 false", "appeared 1", "entered 1 step", "door 1 true", "door step 1 true", "door looks",
		"door looks no more", "left 1 step", "gone 1", "door 0 false", "door step 0 false")
}

func TestTheNextHubEndsTheVisitsOfOneThatWasKilled(t *testing.T) {
	killed := &diary{}
	h := New(killed)
	h.CameraAdded("door", watchStep())
	stay(h, 1, 3)
	h.drain()
	d := &diary{}
	last := killed.events[len(killed.events)-1]
	if err := New(d).Resume(last.ID, killed.events); err != nil {
		t.Fatal(err)
	}
	d.expect(t, "left 1 step", "gone 1")
	for _, e := range d.events {
		if e.ID <= last.ID || e.Visit != last.Visit || !e.CutOff {
			t.Errorf("%+v after %+v", e, last)
		}
	}
}

func TestZonesAndLinesAreCounted(t *testing.T) {
	h := New()
	w := watchStep()
	w.Places.Lines = []zone.Line{{Name: "gate", From: zone.Point{X: 0.9, Y: 1}, To: zone.Point{X: 0.9, Y: 0}}}
	h.CameraAdded("door", w)
	beganNs := frame.MonotonicNs()
	for seq := range uint64(20) { // five a second, from the middle to the right
		a, x := outcome("door", seq+1, dispatch.Inferred), 320+18*float32(seq)
		a.capturedNs = beganNs + int64(seq)*int64(200*time.Millisecond)
		a.detections = []ring.Detection{{X1: x - 30, Y1: 210, X2: x + 30, Y2: 270, Score: 0.9}}
		h.append(entry{arrival: a})
	}
	h.drain()
	f := h.Snapshot("door")
	if z := f.Zones[0]; z.Name != "step" || z.Entered != 1 || z.Faces+int(z.Left) != 1 || len(z.Polygon) != 4 {
		t.Errorf("zone %+v", z)
	}
	if l := f.Lines[0]; l.Name != "gate" || l.In != 1 || l.Out != 0 {
		t.Errorf("line %+v", l)
	}
	h.CameraRemoved("door")
	h.drain()
	if f := h.Snapshot("door"); len(f.Zones)+len(f.Lines) != 0 {
		t.Errorf("%+v after the camera was removed", f)
	}
}

func TestAnUnsureFaceContinuesItsTrackAndIsNotTold(t *testing.T) {
	d := &diary{}
	h := New(d)
	h.CameraAdded("door", watchStep())
	beganNs := frame.MonotonicNs()
	for n, score := range []float32{0.9, 0.9, 0.9, 0.2, 0.2, 0.2, 0.2, 0.2, 0.5} { // five a second: without the unsure ones it is lost
		a := outcome("door", uint64(n+1), dispatch.Inferred)
		a.capturedNs = beganNs + int64(n)*int64(300*time.Millisecond)
		a.detections = []ring.Detection{{X1: 290, Y1: 210, X2: 350, Y2: 270, Score: score}, {X1: 10, Y1: 90, X2: 60, Y2: 150, Score: 0.3}}
		h.append(entry{arrival: a})
	}
	h.drain()
	d.expect(t, "door 0 false", "door step 0 false", "appeared 1", "entered 1 step", "door 1 true", "door step 1 true", "door looks")
	if fmt.Sprint(d.tracks) != "[0 0 1 1]" {
		t.Errorf("the faces that were told have the tracks %v, want 0 0 1 1", d.tracks)
	}
	if fmt.Sprint(d.unsure) != "[1 1 1 1 1]" {
		t.Errorf("the faces that are only hidden have the tracks %v, want 1 five times", d.unsure)
	}
}

// Who may order what is told orders nothing that shows a face. That of 0.9 is told to nobody and hidden, and so is that of 0.5;
// one that nobody would take for a face stays as it is.
func TestNoOrderOrSettingOfTheScoreShowsAFace(t *testing.T) {
	high, low := DefaultWatch(), DefaultWatch()
	high.Score, high.Tracker.Score = 0.95, 0.95 // as detector.score, so tracks begin there
	low.Hides = 0.3
	for _, c := range []struct {
		watch  Watch
		orders []float64
		hidden string
	}{
		{DefaultWatch(), []float64{1}, "[0.9 0.5]"},
		{DefaultWatch(), []float64{0, 1}, "[0.9 0.5]"},
		{high, nil, "[0.9 0.5]"},
		{low, []float64{1}, "[0.9 0.5 0.4]"},
	} {
		leaf := &listener{}
		h := New(leaf)
		h.CameraAdded("door", c.watch)
		for _, least := range c.orders {
			h.ScoreChanged("door", least)
		}
		a := outcome("door", 1, dispatch.Inferred)
		for i, score := range []float32{0.9, 0.5, 0.4, 0.2} {
			x := float32(100 * i)
			a.detections = append(a.detections, ring.Detection{X1: x, Y1: 200, X2: x + 60, Y2: 260, Score: score})
		}
		h.append(entry{arrival: a})
		h.drain()
		if r := leaf.results[0]; len(r.Faces) != 0 || fmt.Sprint(scores(r.Unsure)) != c.hidden {
			t.Errorf("score %v, then ordered %v: %v are told and %v hidden", c.watch.Score, c.orders, scores(r.Faces), scores(r.Unsure))
		}
	}
}

// Whoever turns the head away stays hidden also where the settings ignore faces, and where an order lets none be followed. What never
// looked like a face is shown.
func TestAFaceThatIsNotFollowedStaysHiddenWhenItTurnsAway(t *testing.T) {
	masked, far := watchStep(), watchStep()
	masked.Places.Masks = []zone.Polygon{masked.Places.Zones[0].Polygon}
	far.Places.MinFace = 200
	for name, c := range map[string]struct {
		watch   Watch
		ordered float64
	}{"in a mask": {masked, 0.5}, "smaller than min_face": {far, 0.5}, "after an order": {watchStep(), 1}} {
		leaf := &listener{}
		h := New(leaf)
		h.CameraAdded("door", c.watch)
		h.ScoreChanged("door", c.ordered)
		beganNs := frame.MonotonicNs()
		for n, score := range []float32{0.9, 0.9, 0.9, 0.2, 0.2, 0.2, 0.2, 0.2} { // without the unsure ones it is lost
			a := outcome("door", uint64(n+1), dispatch.Inferred)
			a.capturedNs = beganNs + int64(n)*int64(300*time.Millisecond)
			a.letterbox = geometry.Fit(1280>>min(n/3, 1), 720>>min(n/3, 1), 640, 480) // also where pictures become smaller just then
			a.detections = []ring.Detection{{X1: 290, Y1: 210, X2: 350, Y2: 270, Score: score}, {X1: 10, Y1: 90, X2: 60, Y2: 150, Score: 0.3}}
			h.append(entry{arrival: a})
		}
		h.drain()
		for _, r := range leaf.results[3:] {
			if got := fmt.Sprint(scores(r.Unsure)); got != "[0.2]" || len(r.Faces) != 0 || r.Confirmed != 0 {
				t.Errorf("%s: %s are hidden in frame %d, %v told, %d followed", name, got, r.Seq, scores(r.Faces), r.Confirmed)
			}
		}
	}
}

// One still face in pictures of half the size is one visit, and stays hidden when it turns away.
func TestPicturesOfAnotherSizeMakeNoOtherFace(t *testing.T) {
	d := &diary{}
	h := New(d)
	h.CameraAdded("door", watchStep())
	beganNs := frame.MonotonicNs()
	for n, score := range []float32{0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.2, 0.2, 0.2} {
		a := outcome("door", uint64(n+1), dispatch.Inferred)
		a.capturedNs = beganNs + int64(n)*int64(200*time.Millisecond)
		a.letterbox = geometry.Fit(1280>>(n%2), 720>>(n%2), 640, 480) // in the network's input it is where it was
		a.detections = []ring.Detection{{X1: 290, Y1: 210, X2: 350, Y2: 270, Score: score}}
		h.append(entry{arrival: a})
	}
	h.drain()
	d.expect(t, "door 0 false", "door step 0 false", "appeared 1", "entered 1 step", "door 1 true", "door step 1 true", "door looks")
	if fmt.Sprint(d.tracks, d.unsure) != "[0 0 1 1 1 1 1] [1 1 1]" {
		t.Errorf("told as %v, hidden as %v", d.tracks, d.unsure)
	}
}

// Who enters in bad light is sure in one frame and not in the next, long before an event is told of it.
func TestAFaceThatWasSureOnceIsHiddenFromThenOn(t *testing.T) {
	for _, hits := range []int{1, 3, 30} {
		watch, leaf := watchStep(), &listener{}
		watch.Tracker.Hits = hits
		h := New(leaf)
		h.CameraAdded("door", watch)
		beganNs := frame.MonotonicNs()
		for n, score := range []float32{0.6, 0.45, 0.6, 0.45, 0.6, 0.3} {
			a := outcome("door", uint64(n+1), dispatch.Inferred)
			a.capturedNs = beganNs + int64(n)*int64(time.Second/30)
			a.detections = []ring.Detection{{X1: 290, Y1: 210, X2: 350, Y2: 270, Score: score}}
			h.append(entry{arrival: a})
		}
		h.drain()
		for _, r := range leaf.results {
			if len(r.Faces)+len(r.Unsure) != 1 {
				t.Errorf("hits %d, frame %d: %v told, %v hidden", hits, r.Seq, scores(r.Faces), scores(r.Unsure))
			}
		}
	}
}

func scores(faces []Face) (all []float32) {
	for _, one := range faces {
		all = append(all, one.Score)
	}
	return all
}

// painter says where pictures of events will be, and which frames it could take them from.
type painter struct{ frames []int }

func (*painter) Take(*Result) {}

func (p *painter) Illustrate(results []*Result, e *event.Event) {
	p.frames = append(p.frames, len(results))
	e.Thumbnail = event.ThumbnailPath(e.ID)
}

func TestEventsSayWhereTheirPictureIsBeforeAnybodyHearsOfThem(t *testing.T) {
	d, p := &diary{}, &painter{}
	h := New(d, p) // whoever listens comes first
	stay(h, 1, 3)
	h.drain()
	h.CameraRemoved("door")
	h.drain()
	if fmt.Sprint(p.frames) != "[1 0]" {
		t.Errorf("events came with %v frames", p.frames)
	}
	for _, e := range d.events {
		if e.Thumbnail != event.ThumbnailPath(e.ID) {
			t.Errorf("%s is told with %q", e.Type, e.Thumbnail)
		}
	}
	if len(d.events) != 2 {
		t.Errorf("%d events", len(d.events))
	}
}

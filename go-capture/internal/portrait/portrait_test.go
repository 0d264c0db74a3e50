// SPDX-License-Identifier: Apache-2.0

package portrait

import (
	"bytes"
	"context"
	"image"
	stdjpeg "image/jpeg"
	"strings"
	"testing"

	"visavis/capture/internal/album"
	"visavis/capture/internal/event"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/jpeg"
	"visavis/capture/internal/waiting"
	"visavis/capture/internal/zone"
)

// gallery is a painter with what it needs, in a folder of its own. Nothing is painted before paintAll.
type gallery struct {
	*Painter
	album   *album.Album
	pool    *frame.Pool
	ids     int
	hidden  string // what viewers see
	sent    []string
	seconds int64
}

func newGallery(t *testing.T) *gallery {
	t.Helper()
	return galleryWith(t, album.New(album.Settings{Folder: t.TempDir(), MostBytes: 1 << 20, Oldest: func() (string, bool) { return "", true }}))
}

// galleryWith keeps pictures in an album; in none where that is nil.
func galleryWith(t *testing.T, kept *album.Album) *gallery {
	t.Helper()
	g := &gallery{album: kept, pool: frame.NewPool(8), hidden: "pixelate"}
	g.Painter = New(Settings{
		Album: kept, Privacy: func(string) string { return g.hidden }, Encode: jpeg.Encode,
		MayLeave: func(camera string) bool { return camera == "open" },
		Send:     func(_ *hub.Result, face Look) error { g.sent = append(g.sent, face.Camera); return nil },
	})
	if kept != nil {
		t.Cleanup(kept.Close)
	}
	return g
}

var facesBox = geometry.Box{X: 250, Y: 150, W: 140, H: 180}

// shows is a result a second after the one before: a face in a picture that is all detail.
func (g *gallery) shows(t *testing.T, camera string, track uint64, score float32) *hub.Result {
	t.Helper()
	picture, free := g.pool.Get()
	if !free {
		t.Fatal("a picture was not given back")
	}
	if err := picture.SetSize(640, 480); err != nil {
		t.Fatal(err)
	}
	for i := range picture.Pixels {
		picture.Pixels[i] = byte(255 * (i / 6 % 2))
	}
	g.seconds++
	return &hub.Result{Camera: camera, Picture: picture, Width: 640, Height: 480, CapturedNs: g.seconds * 1e9,
		Faces: []hub.Face{{Track: track, Score: score, Box: facesBox}}}
}

// happens tells of an event as the hub does, beside the results it came with, which it then gives back.
func (g *gallery) happens(kind zone.Kind, camera string, track uint64, results ...*hub.Result) event.Event {
	g.ids++
	e := event.Event{Type: kind, Camera: camera, Track: track, ID: "01JDG3ZQ3N8XKZ5T0V4W2Y00" + string(rune('0'+g.ids/10)) + string(rune('0'+g.ids%10))}
	g.Illustrate(results, &e)
	for _, r := range results {
		g.Take(r)
		r.Picture.Release()
	}
	return e
}

func (g *gallery) kept(id string) (album.Picture, bool) {
	return g.album.Find(context.Background(), id, func(string) bool { return true })
}

// idIn is the event to whose picture a path leads.
func idIn(path string) string {
	return strings.TrimSuffix(strings.TrimPrefix(path, "/api/v1/events/"), "/thumbnail.jpg")
}

// detail is the mean difference of neighbours in the middle and at the left edge of a picture.
func detail(t *testing.T, data []byte) (middle, edge int) {
	t.Helper()
	shown, err := stdjpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	size := shown.Bounds().Size()
	if size.X > widthMost || size.X < widthMost-2 {
		t.Errorf("%v wide", size.X)
	}
	of := func(area image.Rectangle) int {
		sum := 0
		for y := area.Min.Y; y < area.Max.Y; y++ {
			for x := area.Min.X; x < area.Max.X; x++ {
				one, _, _, _ := shown.At(x, y).RGBA()
				next, _, _, _ := shown.At(x+1, y).RGBA()
				sum += max(int(one)-int(next), int(next)-int(one)) >> 8
			}
		}
		return sum / (area.Dx() * area.Dy())
	}
	return of(image.Rect(size.X*2/5, size.Y*2/5, size.X*3/5, size.Y*3/5)), of(image.Rect(0, 0, size.X/8, size.Y))
}

func TestWhoAppearsIsKeptWithTheFaceHiddenAsViewersSeeIt(t *testing.T) {
	g := newGallery(t)
	for _, hidden := range []string{"pixelate", "blur", "none"} {
		g.hidden = hidden
		e := g.happens(zone.Appeared, "door", uint64(g.ids+1), g.shows(t, "door", uint64(g.ids+1), 0.9))
		if e.Thumbnail != event.ThumbnailPath(e.ID) {
			t.Errorf("%q", e.Thumbnail)
		}
		g.paintAll()
		picture, found := g.kept(e.ID)
		if !found || picture.Camera != "door" || picture.Privacy != hidden {
			t.Fatalf("found %v: of %s, %s", found, picture.Camera, picture.Privacy)
		}
		middle, edge := detail(t, picture.JPEG)
		if plain := hidden == "none"; (middle > 30) != plain || edge < 30 || len(picture.JPEG) > 60_000 {
			t.Errorf("%s: detail of the face %d, around it %d, in %d bytes", hidden, middle, edge, len(picture.JPEG))
		}
	}
}

func TestAVisitShowsItsBeginningAndAtTheEndAMuchBetterLook(t *testing.T) {
	g := newGallery(t)
	begun := g.happens(zone.Appeared, "door", 1, g.shows(t, "door", 1, 0.6))
	for _, score := range []float32{0.62, 0.9, 0.91} {
		r := g.shows(t, "door", 1, score)
		g.Take(r)
		r.Picture.Release()
		g.paintAll()
	}
	if e := g.happens(zone.Entered, "door", 1); e.Thumbnail != begun.Thumbnail {
		t.Errorf("in between it shows %q, at first %q", e.Thumbnail, begun.Thumbnail)
	}
	ended := g.happens(zone.Gone, "door", 1)
	g.paintAll()
	if _, found := g.kept(ended.ID); !found || ended.Thumbnail != event.ThumbnailPath(ended.ID) {
		t.Errorf("at the end it shows %q, found: %v", ended.Thumbnail, found)
	}
	first := g.happens(zone.Appeared, "door", 2, g.shows(t, "door", 2, 0.9))
	last := g.happens(zone.Gone, "door", 2)
	if last.Thumbnail == "" || last.Thumbnail != first.Thumbnail {
		t.Errorf("a visit that never looked better ends with %q, began with %q", last.Thumbnail, first.Thumbnail)
	}
	if len(g.visits) != 0 {
		t.Errorf("%d visits are still held", len(g.visits))
	}
}

func TestAPlainLookIsNotKeptOnceFacesAreHidden(t *testing.T) {
	g := newGallery(t)
	g.hidden = "none"
	g.happens(zone.Appeared, "door", 1, g.shows(t, "door", 1, 0.7))
	g.shows(t, "door", 1, 0).Picture.Release() // a second later
	better := g.shows(t, "door", 1, 0.95)
	g.Take(better)
	better.Picture.Release()
	g.paintAll()
	g.hidden = "pixelate"
	gone := g.happens(zone.Gone, "door", 1)
	g.paintAll()
	if gone.Thumbnail != event.ThumbnailPath(gone.ID) {
		t.Errorf("it ends with %q: its best look was not ordered", gone.Thumbnail)
	}
	if picture, found := g.kept(gone.ID); found {
		t.Errorf("kept with privacy %s", picture.Privacy)
	}
}

func TestPlainPicturesGoWhenFacesAreHiddenAndHiddenOnesStay(t *testing.T) {
	g := newGallery(t)
	var before []event.Event
	for _, hidden := range []string{"none", "blur", "none"} {
		g.hidden = hidden
		before = append(before, g.happens(zone.Appeared, "door", uint64(g.ids+1), g.shows(t, "door", uint64(g.ids+1), 0.9)))
		g.paintAll()
	}
	g.trim()
	for _, e := range before {
		if _, found := g.kept(e.ID); !found {
			t.Errorf("%s is gone while viewers see faces", e.ID)
		}
	}
	g.hidden = "pixelate"
	g.Start()
	g.FacesHidden()
	waiting.Until(t, "the plain ones are gone", func() bool {
		_, first := g.kept(before[0].ID)
		_, last := g.kept(before[2].ID)
		return !first && !last
	})
	if _, found := g.kept(before[1].ID); !found {
		t.Error("the blurred one is gone, too")
	}
	if err := g.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestWhatThePainterCannotKeepUpWithHasNoPicture(t *testing.T) {
	g := newGallery(t)
	var told []event.Event
	for track := range uint64(4) {
		told = append(told, g.happens(zone.Appeared, "door", track+1, g.shows(t, "door", track+1, 0.9)))
	}
	other := g.happens(zone.Appeared, "gate", 1, g.shows(t, "gate", 1, 0.9))
	both := g.shows(t, "yard", 1, 0.9)
	both.Faces = append(both.Faces, hub.Face{Track: 2, Score: 0.9, Box: facesBox})
	both.Picture.Retain() // of two events at once
	one, two := g.happens(zone.Appeared, "yard", 1, both), g.happens(zone.Appeared, "yard", 2, both)
	g.paintAll()
	for _, e := range append(told[:2:2], other, one, two) {
		if _, found := g.kept(idIn(e.Thumbnail)); !found {
			t.Errorf("%s of %s: %q leads nowhere", e.ID, e.Camera, e.Thumbnail)
		}
	}
	if told[2].Thumbnail != "" || told[3].Thumbnail != "" {
		t.Errorf("pictures are promised that nobody makes: %v", told[2:])
	}
	if late := g.happens(zone.Appeared, "door", 9, g.shows(t, "door", 9, 0.9)); late.Thumbnail == "" {
		t.Error("the painter is not asked any more")
	}
	g.paintAll()
	for range 8 {
		g.shows(t, "door", 1, 0) // every picture was given back
	}
}

func TestPicturesLeaveOnlyWhereTheyMayAndOnceASecond(t *testing.T) {
	for _, kept := range []bool{true, false} {
		g := newGallery(t)
		if !kept {
			g = galleryWith(t, nil)
		}
		for _, camera := range []string{"door", "open", "open"} { // the second is too soon after the first
			e := g.happens(zone.Appeared, camera, uint64(g.ids+1), g.shows(t, camera, uint64(g.ids+1), 0.9))
			if (e.Thumbnail != "") != kept {
				t.Errorf("kept: %v, and the event says %q", kept, e.Thumbnail)
			}
		}
		g.paintAll()
		if strings.Join(g.sent, " ") != "open" {
			t.Errorf("kept: %v, sent: %v", kept, g.sent)
		}
	}
}

func TestTheEndOfThePainterMakesWhatIsOrdered(t *testing.T) {
	g := newGallery(t)
	g.Start()
	e := g.happens(zone.Appeared, "door", 1, g.shows(t, "door", 1, 0.9))
	if err := g.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, found := g.kept(e.ID); !found {
		t.Error("the last picture is lost")
	}
}

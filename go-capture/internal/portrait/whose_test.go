// SPDX-License-Identifier: Apache-2.0

package portrait

import (
	"testing"

	"visavis/capture/internal/zone"
)

// A look says how it was made, also when it is kept after another order.
func TestAPictureIsKeptWithWhatWasHiddenWhenItWasMade(t *testing.T) {
	g := newGallery(t)
	g.hidden = "blur"
	g.happens(zone.Appeared, "door", 1, g.shows(t, "door", 1, 0.6))
	better := g.shows(t, "door", 1, 0.9)
	better.CapturedNs += 1e9
	g.Take(better)
	better.Picture.Release()
	g.paintAll()
	g.hidden = "pixelate"
	ended := g.happens(zone.Gone, "door", 1)
	g.paintAll()
	if picture, found := g.kept(ended.ID); !found || picture.Privacy != "blur" {
		t.Errorf("found %v: the blurred picture is kept as %q", found, picture.Privacy)
	}
}

// Who appears unsure has a picture, too.
func TestWhoAppearsUnsureHasAPictureToo(t *testing.T) {
	g := newGallery(t)
	r := g.shows(t, "door", 1, 0.3)
	r.Faces, r.Unsure = nil, r.Faces
	if e := g.happens(zone.Appeared, "door", 1, r); e.Thumbnail == "" {
		t.Error("no picture")
	}
	g.paintAll()
}

// Cameras number their faces from 1 each.
func TestFacesOfOneNumberAtTwoCamerasAreTwo(t *testing.T) {
	g := newGallery(t)
	g.happens(zone.Appeared, "door", 1, g.shows(t, "door", 1, 0.6))
	g.paintAll()
	for range 2 {
		r := g.shows(t, "gate", 1, 0.9)
		g.Take(r)
		r.Picture.Release()
	}
	g.paintAll()
	first := g.visits[trackOf{"door", 1}]
	if first.improved {
		t.Error("a face of the gate is a better look at one at the door")
	}
	if e := g.happens(zone.Appeared, "yard", 1, g.shows(t, "gate", 1, 0.9)); e.Thumbnail != "" {
		t.Errorf("%q shows who is at another camera", e.Thumbnail)
	}
}

func TestTwoCamerasHaveATurnEach(t *testing.T) {
	g := newGallery(t)
	g.settings.Privacy = func(string) string { return "pixelate" }
	g.orders.mayLeave = func(string) bool { return true }
	g.happens(zone.Appeared, "open", 1, g.shows(t, "open", 1, 0.9))
	g.happens(zone.Appeared, "gate", 1, g.shows(t, "gate", 1, 0.9))
	g.paintAll()
	if len(g.sent) != 2 {
		t.Errorf("sent %v", g.sent)
	}
}

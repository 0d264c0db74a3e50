// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	"visavis/capture/internal/album"
	"visavis/capture/internal/showing"
)

// shelf holds pictures by the ids of their events.
type shelf map[string]album.Picture

func (s shelf) Find(_ context.Context, id string, maySee func(camera string) bool) (album.Picture, bool) {
	picture, found := s[id]
	return picture, found && maySee(picture.Camera)
}

var jpegOfDoor = []byte{0xff, 0xd8, 1, 2, 3, 0xff, 0xd9}

func pictures() shelf {
	held := shelf{}
	for id, p := range map[string]album.Picture{
		"01DOOR": {Camera: "door", Privacy: showing.PrivacyPixelate}, "01YARD": {Camera: "yard", Privacy: showing.PrivacyBlur},
		"01PLAIN": {Camera: "door", Privacy: showing.PrivacyNone}, "01GONE": {Camera: "gone", Privacy: showing.PrivacyPixelate}, "01BARE": {Camera: "gone", Privacy: showing.PrivacyNone},
	} {
		p.ID, p.JPEG = id, jpegOfDoor
		held[id] = p
	}
	return held
}

// barely is a View whose cameras show faces.
type barely struct{ twoCameras }

func (barely) Privacy(id string) (string, bool) { return showing.PrivacyNone, id == "door" }

// thumbnail asks for a picture, and returns it with the header of the answer.
func (r *running) thumbnail(t *testing.T, id string, header http.Header) (code int, picture []byte, answered http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/api/v1/events/"+id+"/thumbnail.jpg", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	picture, err = io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, picture, answer.Header
}

func TestABrowserAsksForThePictureOfAnEventEachTime(t *testing.T) {
	site := serveSettings(t, Settings{Listen: "127.0.0.1:0", Thumbnails: pictures()}, twoCameras{})
	code, picture, header := site.thumbnail(t, "01DOOR", http.Header{})
	if code != http.StatusOK || !bytes.Equal(picture, jpegOfDoor) || header.Get("Content-Type") != "image/jpeg" || header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("%d %v %v", code, picture, header)
	}
	code, picture, header = site.thumbnail(t, "01DOOR", http.Header{"If-None-Match": {header.Get("ETag")}})
	if code != http.StatusNotModified || len(picture) != 0 || header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("asked again: %d %v %v", code, picture, header)
	}
	if code, _, header := site.thumbnail(t, "01NONE", http.Header{}); code != http.StatusNotFound || header.Get("Cache-Control") == "private, no-cache" {
		t.Errorf("one that is not there: %d %v", code, header)
	}
}

func TestAPlainFaceIsServedOnlyWhileViewersSeeFaces(t *testing.T) {
	hidden := serveSettings(t, Settings{Listen: "127.0.0.1:0", Thumbnails: pictures()}, twoCameras{})
	shown := serveSettings(t, Settings{Listen: "127.0.0.1:0", Thumbnails: pictures()}, barely{})
	for _, c := range []struct {
		site  *running
		id    string
		code  int
		cache string
	}{
		{hidden, "01PLAIN", http.StatusNotFound, "no-store"}, {shown, "01PLAIN", http.StatusOK, "no-store"}, {shown, "01DOOR", http.StatusOK, "private, no-cache"},
		{hidden, "01GONE", http.StatusOK, "private, no-cache"}, {hidden, "01BARE", http.StatusNotFound, "no-store"}, {shown, "01BARE", http.StatusNotFound, "no-store"},
	} {
		code, _, header := c.site.thumbnail(t, c.id, http.Header{})
		if code != c.code || header.Get("Cache-Control") != c.cache {
			t.Errorf("%s: %d %q, want %d %q", c.id, code, header.Get("Cache-Control"), c.code, c.cache)
		}
	}
}

func TestOnlyWhoMaySeeACameraSeesThePicturesOfItsEvents(t *testing.T) {
	l := serveLocked(t)
	tokens := map[string]string{"*": "", "door": "", "yard": ""}
	for cameras := range tokens {
		name := map[string]string{"*": "all", "door": "of-door", "yard": "of-yard"}[cameras]
		tokens[cameras] = l.add(t, name, "viewer", "", cameras)
	}
	for _, c := range []struct {
		cameras, id string
		code        int
	}{
		{"*", "01DOOR", 200}, {"*", "01GONE", 200}, {"door", "01DOOR", 200}, {"door", "01YARD", 404}, {"yard", "01DOOR", 404}, {"yard", "01YARD", 200},
		{"door", "01GONE", 404}, {"door", "01NONE", 404},
	} {
		if code, _, _ := l.thumbnail(t, c.id, bearer(tokens[c.cameras])); code != c.code {
			t.Errorf("%s for who may see %s: %d, want %d", c.id, c.cameras, code, c.code)
		}
	}
	if code, _, _ := l.thumbnail(t, "01DOOR", http.Header{}); code != http.StatusUnauthorized {
		t.Errorf("for nobody: %d", code)
	}
}

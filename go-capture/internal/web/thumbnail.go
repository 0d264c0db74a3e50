// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"net/http"
	"strconv"

	"visavis/capture/internal/album"
	"visavis/capture/internal/auth"
	"visavis/capture/internal/openapi"
	"visavis/capture/internal/showing"
)

// Thumbnails is where the pictures of events are kept; album.Album is one.
type Thumbnails interface {
	// Find waits for a picture that is being made; false when there is none, or of a camera that may not be seen.
	Find(ctx context.Context, id string, maySee func(camera string) bool) (album.Picture, bool)
}

const (
	thumbnailSummary = "A face as it appeared, or at its best when it is gone, with what is around it; hidden as the camera's privacy said"
	noThumbnail      = "There is no picture of this event, or none any more"

	asked    = "private, no-cache" // a browser asks each time: who looks may be another by now, and the picture gone
	unstored = "no-store"          // one that shows a face stays in no browser
)

func (s *Server) thumbnailRoute() route {
	return route{pattern: "/api/v1/events/{event}/thumbnail.jpg", least: auth.Viewer, shows: OwnCameras, described: thumbnailOperation(),
		documents: true, handle: s.thumbnail}
}

// thumbnailOperation describes the route in OpenAPI.
func thumbnailOperation() object {
	return object{
		"summary": thumbnailSummary,
		"parameters": []object{{"name": "event", "in": "path", "required": true, "description": "Id of an event, as its `thumbnail` has it",
			"schema": object{"type": "string", "pattern": "^[0-7][0-9A-HJKMNP-TV-Z]{25}$"}}},
		"responses": object{
			"200": object{"description": thumbnailSummary, "content": object{"image/jpeg": object{}}},
			"304": object{"description": "It is the one that If-None-Match names"},
			"404": openapi.Problem(noThumbnail),
		},
	}
}

// thumbnail serves the picture of an event to those who may see its camera. To others it is not there, as one that never was.
func (s *Server) thumbnail(w http.ResponseWriter, r *http.Request) error {
	picture, found := s.settings.Thumbnails.Find(r.Context(), r.PathValue("event"), s.visitorOf(r).MaySee)
	if !found || s.showsTooMuch(picture) {
		return refusal{Status: http.StatusNotFound, Title: noThumbnail,
			Detail: "Pictures go when there are too many (history.thumbnails_mb), and with the record of their event."}
	}
	w.Header().Set("Cache-Control", asked)
	if picture.Privacy == showing.PrivacyNone {
		w.Header().Set("Cache-Control", unstored)
	}
	tag := `"` + picture.ID + `"`
	w.Header().Set("ETag", tag)
	if matches(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Content-Length", strconv.Itoa(len(picture.JPEG)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(picture.JPEG) // the client has gone: nobody is left to tell
	}
	return nil
}

// showsTooMuch tells whether a face is plain in a picture of a camera whose viewers may not see faces any more.
func (s *Server) showsTooMuch(picture album.Picture) bool {
	now, known := s.view.Privacy(picture.Camera)
	if !known {
		now = showing.PrivacyPixelate
	}
	return showing.ShowsTooMuch(picture.Privacy, now)
}

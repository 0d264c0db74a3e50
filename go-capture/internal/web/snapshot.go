// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// snapshotMostAge is the age at which the newest picture is no longer an answer: whoever polls must not take it for now.
const snapshotMostAge = 10 * time.Second

// snapshot serves the newest picture. It is encoded when somebody asks, once for each frame and look.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) error {
	query, err := queryOf(r)
	if err != nil {
		return err
	}
	wanted, err := readLook(query)
	if err != nil {
		return err
	}
	studio, err := s.studioFor(r.PathValue("id"))
	if err != nil {
		return err
	}
	tag, err := studio.tag(wanted)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if matches(r.Header.Get("If-None-Match"), tag) {
		w.Header().Set("ETag", tag)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	picture, err := studio.developOnce(r.Context(), wanted)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", studio.tagOf(picture.number, wanted, picture.privacy))
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Content-Length", strconv.Itoa(len(picture.jpeg)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(picture.jpeg) // the client has gone: nobody is left to tell
	}
	return nil
}

// Newest is the newest picture of a camera as viewers may see it, as JPEG. It fails when there is none or it is too old to show.
func (s *Server) Newest(camera string) ([]byte, error) {
	studio, err := s.studioFor(camera)
	if err != nil {
		return nil, err
	}
	if _, err := studio.tag(look{}); err != nil {
		return nil, err
	}
	picture, err := studio.develop(look{})
	if err != nil {
		return nil, err
	}
	return picture.jpeg, nil
}

// tag is the ETag of the newest picture; it fails when there is none or it is too old to show.
func (s *studio) tag(wanted look) (string, error) {
	newest, err := s.borrow()
	if err != nil {
		return "", err
	}
	defer newest.Picture.Release()
	if age := newest.age(); age > snapshotMostAge && age.Seconds() > oldFromS(s.server.view.Cameras(), s.camera) {
		return "", refusal{Status: http.StatusServiceUnavailable, Title: "The newest picture is too old",
			Detail:     fmt.Sprintf("Camera %q has given no picture for %.0f s; see /api/v1/status.", s.camera, age.Seconds()),
			RetryAfter: 1}
	}
	privacy, _ := s.server.view.Privacy(s.camera)
	return s.tagOf(newest.number, wanted, privacy), nil
}

func (s *studio) tagOf(number uint64, wanted look, privacy string) string {
	return fmt.Sprintf(`"%s.%d.%d.%d.%t.%s"`, s.server.boot, s.id, number, wanted.width, wanted.boxes, privacy)
}

// matches tells whether an If-None-Match header names the tag.
func matches(header, tag string) bool {
	for _, one := range strings.Split(header, ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == tag || one == "*" {
			return true
		}
	}
	return false
}

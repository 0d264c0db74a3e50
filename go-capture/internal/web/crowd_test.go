// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/problem"
	"visavis/capture/internal/showing"
	"visavis/capture/internal/waiting"
)

func TestALoginLeavesRoomForOtherViewers(t *testing.T) {
	r := serve(t)
	one, other := auth.Identity{Name: "one"}, auth.Identity{Name: "other"}
	for n := range viewersMost * 3 / 4 {
		if err := r.server.admit(one); err != nil {
			t.Fatalf("viewer %d: %v", n, err)
		}
	}
	if err := r.server.admit(one); err == nil || !strings.Contains(err.Error(), "Your login has 450") {
		t.Errorf("one more: %v", err)
	}
	if err := r.server.admit(other); err != nil {
		t.Errorf("another login: %v", err)
	}
}

func TestWhatThePageShowsIsNeverOneSizeTooMany(t *testing.T) {
	r := serve(t)
	for n := range mostLooks {
		r.dial(t, "?width="+strconv.Itoa(16+n))
	}
	waiting.Until(t, "all watch", func() bool { return r.figures().Now == mostLooks })
	if code, text := r.ask(t, http.MethodGet, "/api/v1/cameras/door/stream.mjpeg?width=640&boxes=1", nil); code != http.StatusServiceUnavailable {
		t.Errorf("one size more: %d %s", code, text)
	}
	for _, width := range pageWidths {
		query := "?boxes=0"
		if width > 0 {
			query = "?width=" + strconv.Itoa(width)
		}
		r.dial(t, query)
	}
	waiting.Until(t, "the page watches too", func() bool { return r.figures().Now == mostLooks+len(pageWidths) })
}

func TestTheWidthsOfThePageAreThose(t *testing.T) {
	script, err := static.ReadFile("static/live.js")
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(pageWidths[1:])), ", "), "[]")
	if !strings.Contains(string(script), "export const widths = ["+listed+"];") {
		t.Errorf("static/live.js asks for other widths than %s", listed)
	}
}

// TestOfSnapshotsOneStandsInTheWayOfLivePictures: the others wait elsewhere, and whoever goes meanwhile waits no longer.
func TestOfSnapshotsOneStandsInTheWayOfLivePictures(t *testing.T) {
	began, goOn := make(chan struct{}, 3), make(chan struct{})
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0", WriteTimeout: time.Minute, Encode: func(*hub.Result, showing.Style) ([]byte, error) {
		began <- struct{}{}
		<-goOn
		return make([]byte, 100), nil
	}}, oneCamera{})
	r.show(frame.NewPool(4), 1)
	studio, err := r.server.studioFor("door")
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan error, 1)
	go func() {
		_, err := studio.developOnce(context.Background(), look{width: 100})
		first <- err
	}()
	<-began
	gone, leave := context.WithCancel(context.Background())
	second := make(chan error, 1)
	go func() {
		_, err := studio.developOnce(gone, look{width: 200})
		second <- err
	}()
	leave()
	select {
	case err := <-second:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the second: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the second stands behind the first one's encode although its client has gone")
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if _, err := studio.developOnce(context.Background(), look{width: 300}); err != nil {
		t.Errorf("the place of the first is not free again: %v", err)
	}
}

func TestAClientIsNotSaidToHaveGoneWhenTheDeviceStops(t *testing.T) {
	for why, want := range map[error]int{errStops: http.StatusServiceUnavailable, nil: problem.StatusClientGone} {
		ctx, end := context.WithCancelCause(context.Background())
		end(why)
		answer := httptest.NewRecorder()
		asked := httptest.NewRequest(http.MethodGet, "/api/v1/events", nil).WithContext(ctx)
		answerError(answer, asked, fmt.Errorf("read: %w", ctx.Err()))
		login := httptest.NewRecorder()
		answerError(login, asked, refusalOf(ctx.Err()))
		if login.Code != answer.Code {
			t.Errorf("%v is answered %d to who waits for a login", why, login.Code)
		}
		if answer.Code != want || (answer.Header().Get("Retry-After") != "") != (why != nil) {
			t.Errorf("%v is answered %d, Retry-After %q", why, answer.Code, answer.Header().Get("Retry-After"))
		}
	}
}

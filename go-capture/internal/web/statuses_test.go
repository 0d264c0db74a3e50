// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// counting is a View that counts how often its status is made, and says so in it.
type counting struct {
	oneCamera
	made atomic.Uint64
}

func (c *counting) Status() Status {
	status := c.oneCamera.Status()
	status.Cameras[0].Frames.Captured = c.made.Add(1)
	return status
}

func TestAFloodOfStatusRequestsSharesWhatIsMade(t *testing.T) {
	view := &counting{}
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0"}, view)
	for i := uint64(1); i <= 20; i++ {
		if r.ask(t, "GET", "/api/v1/status", nil); view.made.Load() != i {
			t.Fatalf("%d statuses were made for %d requests: each wants a fresh one", view.made.Load(), i)
		}
	}
	r.server.statuses.fresh.SetLimit(0)
	r.server.statuses.fresh.SetBurst(2) // two more may be made
	r.server.statuses.oldMost = time.Hour
	for range 20 {
		code, text := r.ask(t, "GET", "/api/v1/status", nil)
		if code != http.StatusOK || !strings.HasSuffix(text, "}\n") {
			t.Fatalf("%d %q", code, text)
		}
	}
	if made := view.made.Load(); made != 22 {
		t.Fatalf("%d statuses were made, not the two more that are allowed", made)
	}
	if _, text := r.ask(t, "GET", "/api/v1/status", nil); !strings.Contains(text, `"captured":22`) {
		t.Fatalf("not the newest: %s", text)
	}
}

// TestAFloodAfterASilenceGetsNoStatusOfBefore: the first of the flood are still being answered when the others ask.
func TestAFloodAfterASilenceGetsNoStatusOfBefore(t *testing.T) {
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0"}, &counting{})
	r.ask(t, "GET", "/api/v1/status", nil)
	of := r.server.statuses
	of.fresh.SetLimit(0)
	of.fresh.SetBurst(0) // the first of the flood have taken all
	before := of.newest.Load()
	of.newest.Store(&madeStatus{text: before.text, at: before.at.Add(-time.Hour)})
	asked := time.Now()
	if _, text := r.ask(t, "GET", "/api/v1/status", nil); !strings.Contains(text, `"captured":2`) {
		t.Errorf("an hour old: %s", text)
	}
	if of.since(asked) == nil || of.since(time.Now()) != nil {
		t.Error("who asked before it was made does not share it, or who asks later takes it for new")
	}
}

func TestWhatIsSharedIsNotForThoseWhoMaySeeLess(t *testing.T) {
	l := serveLocked(t)
	all := l.add(t, "all", "viewer", "", "*")
	some := l.add(t, "some", "viewer", "", "door")
	l.server.statuses.fresh.SetLimit(0)
	l.server.statuses.fresh.SetBurst(0)
	for range 2 {
		if _, text := l.ask(t, "GET", "/api/v1/status", bearer(all)); !strings.Contains(text, `"id":"yard"`) {
			t.Fatalf("who may see all does not: %s", text)
		}
		if _, text := l.ask(t, "GET", "/api/v1/status", bearer(some)); strings.Contains(text, `"id":"yard"`) || !strings.Contains(text, `"id":"door"`) {
			t.Fatalf("who may see the door sees %s", text)
		}
	}
}

func TestWhoMayNotReadTheStatusMakesNoneOfHisOwnInAFlood(t *testing.T) {
	view := &counting{}
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0"}, view)
	r.ask(t, "GET", "/readyz", nil)
	of := r.server.statuses
	of.fresh.SetLimit(0)
	of.fresh.SetBurst(0)
	of.oldMost = time.Hour
	for _, path := range []string{"/readyz", "/api/v1/cameras", "/api/v1/cameras/door", "/metrics"} {
		if code, text := r.ask(t, "GET", path, nil); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if made := view.made.Load(); made != 1 {
		t.Errorf("%d statuses were made", made)
	}
}

func TestWhatIsWrongWithAPartIsForThoseWhoSeeEveryCamera(t *testing.T) {
	l := serveLocked(t)
	all := l.add(t, "all", "viewer", "", "*")
	some := l.add(t, "some", "viewer", "", "door")
	if _, text := l.ask(t, "GET", "/api/v1/status", bearer(all)); !strings.Contains(text, `{"name":"configuration","error":"camera yard: `) {
		t.Errorf("who may see all is not told: %s", text)
	} else if strings.Count(text, "mqtt://secret") != 2 {
		t.Errorf("who may see all is not told of brokers: %s", text)
	}
	_, text := l.ask(t, "GET", "/api/v1/status", bearer(some))
	if strings.Contains(text, "yard") || strings.Contains(text, "mqtt://secret") || !strings.Contains(text, `{"name":"configuration","error":"what it is, `) ||
		!strings.Contains(text, `{"name":"history"}`) {
		t.Errorf("who may see the door reads %s", text)
	}
}

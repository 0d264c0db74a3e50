// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestLogoutEndsTheSessionAndWhatItHasOpen(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	cookie, other := d.login(t, "anna"), d.login(t, "anna")
	who, _ := d.BySession(cookie)
	ctx, release := d.Hold(context.Background(), who)
	defer release()
	if err := d.Logout(cookie); err != nil {
		t.Fatal(err)
	}
	_, err := d.BySession(cookie)
	d.refuses(t, "a session that was left", err, ErrUnknown)
	if ctx.Err() == nil {
		t.Error("its stream goes on")
	}
	if _, err := d.BySession(other); err != nil {
		t.Errorf("the same person's other browser: %v", err)
	}
}

func TestASessionEndsWhenItIsNotUsedAndInAnyCaseAfterADay(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	idle, used := d.login(t, "anna"), d.login(t, "anna")
	for range 24 {
		if _, err := d.BySession(used); err != nil {
			t.Fatalf("a session in use after %v: %v", time.Since(d.time), err)
		}
		d.time = d.time.Add(59 * time.Minute)
	}
	_, err := d.BySession(idle)
	d.refuses(t, "an idle session", err, ErrUnknown)
	d.time = d.time.Add(25 * time.Minute)
	_, err = d.BySession(used)
	d.refuses(t, "a session of a day", err, ErrUnknown)
}

func TestAnOpenStreamKeepsASessionButNotForEver(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	who, _ := d.BySession(d.login(t, "anna"))
	ctx, release := d.Hold(context.Background(), who)
	defer release()
	d.time = d.time.Add(23 * time.Hour)
	if d.look(); ctx.Err() != nil {
		t.Error("a stream that is watched ended as idle")
	}
	d.time = d.time.Add(time.Hour)
	if d.look(); ctx.Err() == nil {
		t.Error("a stream outlives its session")
	}
}

func TestSessionsAreBoundedAndTheOldestGivesWay(t *testing.T) {
	s := newSessions(time.Hour, time.Hour)
	anna, begun := &Account{Name: "anna"}, time.Now()
	first := s.begin(anna, begun)
	for n := range sessionsPerAccount {
		s.begin(anna, begun.Add(time.Duration(n+1)*time.Second))
	}
	if len(s.byKey) != sessionsPerAccount || s.find(first, begun) != nil {
		t.Errorf("%d sessions of one account; the oldest is there: %t", len(s.byKey), s.find(first, begun) != nil)
	}
	for n := range sessionsMost {
		s.begin(&Account{Name: fmt.Sprint(n)}, begun)
	}
	if len(s.byKey) != sessionsMost {
		t.Errorf("%d sessions, want %d", len(s.byKey), sessionsMost)
	}
}

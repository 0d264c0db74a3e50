// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/album"
	"visavis/capture/internal/event"
	"visavis/capture/internal/history"
	"visavis/capture/internal/state"
	"visavis/capture/internal/waiting"
)

// leave keeps an event and its picture as a device did that ran so long ago.
func leave(t *testing.T, folder, device string, ago time.Duration) {
	t.Helper()
	id := event.NewIDs().Next(time.Now().Add(-ago))
	events := history.New(history.Settings{Folder: filepath.Join(folder, "history", device), MostAge: 2 * ago})
	events.Start()
	events.Append(event.Event{Schema: 1, ID: id, Camera: "door"})
	if err := events.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	pictures := album.New(album.Settings{Folder: filepath.Join(folder, "thumbnails", device), MostBytes: 1 << 20})
	pictures.Keep(album.Picture{ID: id, Camera: "door", Privacy: "blur", JPEG: []byte{0xff, 0xd8, 0xff, 0xd9}})
	pictures.Close()
}

// leftBehind is one whose configuration names another device now, under whose name there is a history already.
func leftBehind(t *testing.T, folder, device string, ago time.Duration) {
	t.Helper()
	leave(t, folder, device, ago)
	for _, name := range []string{device, "now"} {
		if err := state.Follow(folder, device+".toml", name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatCouldNotFollowToAnotherNameAgesToo(t *testing.T) {
	const day = 24 * time.Hour
	folder := t.TempDir()
	t.Setenv("VISAVIS_STATE_DIR", folder)
	leave(t, folder, "now", 0)
	leave(t, folder, "off", 40*day) // a device that nobody runs at the moment
	leftBehind(t, folder, "old", 40*day)
	leftBehind(t, folder, "young", day)
	leftBehind(t, folder, "used", 40*day)
	used := history.New(history.Settings{Folder: filepath.Join(folder, "history", "used"), MostAge: 80 * day})
	used.Start()
	defer used.Close(context.Background())
	for _, round := range []struct {
		settings, stays string
	}{
		{"VISAVIS_HISTORY__THUMBNAILS_MB=1", "history/off history/used history/young thumbnails/off thumbnails/young"},
		{"VISAVIS_HISTORY__THUMBNAILS_MB=0", "history/off history/used history/young thumbnails/off"},
	} {
		if err := configured(t, round.settings).trimAllLeft(folder); err != nil {
			t.Fatal(err)
		}
		var stays []string
		for _, kind := range []string{"history", "thumbnails"} {
			for _, device := range []string{"off", "old", "used", "young"} {
				if found, err := os.ReadDir(filepath.Join(folder, kind, device)); err == nil && len(found) > 0 {
					stays = append(stays, kind+"/"+device)
				}
			}
		}
		if got := strings.Join(stays, " "); got != round.stays {
			t.Errorf("%s: %s stays, want %s", round.settings, got, round.stays)
		}
	}
}

// besidePorch is a device whose configuration named porch before, which runs.
func besidePorch(t *testing.T) (a *Appliance, folder string, endPorch func()) {
	t.Helper()
	folder = t.TempDir()
	t.Setenv("VISAVIS_STATE_DIR", folder)
	leave(t, folder, "here", 0)
	leave(t, folder, "porch", 0)
	if err := state.Follow(folder, "both.toml", "porch"); err != nil {
		t.Fatal(err)
	}
	porch, err := state.Lock(filepath.Join(folder, "history", "porch"))
	if err != nil {
		t.Fatal(err)
	}
	a = configured(t, "VISAVIS_DEVICE__ID=here")
	a.file = "both.toml"
	return a, folder, func() { _ = porch.Close() }
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestADeviceThatRanBesideThisOneLeavesNothing(t *testing.T) {
	a, folder, endPorch := besidePorch(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go a.letOthersAge(ctx, func() <-chan time.Time { return time.After(0) })
	waiting.Until(t, "nobody notes that both run", func() bool { return exists(filepath.Join(folder, "beside.json")) })
	endPorch()
	if err := state.Follow(folder, "both.toml", "here"); err != nil {
		t.Fatal(err)
	}
	if left := state.LeftBehind(folder, "thumbnails", "here"); len(left) > 0 {
		t.Errorf("%q", left)
	}
}

// TestARenamedDeviceThatRunsForAMomentBesideItselfIsOne is that of a daemon which is started by hand under the new name.
func TestARenamedDeviceThatRunsForAMomentBesideItselfIsOne(t *testing.T) {
	a, folder, endPorch := besidePorch(t)
	leave(t, folder, "now", 0)
	leftBehind(t, folder, "old", 400*24*time.Hour)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	pauses, over := make(chan struct{}), make(chan time.Time)
	go a.letOthersAge(ctx, func() <-chan time.Time {
		pauses <- struct{}{}
		return over
	})
	<-pauses
	endPorch()
	over <- time.Now()
	old := filepath.Join(folder, "thumbnails", "old")
	waiting.Until(t, "it looks", func() bool { found, err := os.ReadDir(old); return err != nil || len(found) == 0 })
	if exists(filepath.Join(folder, "beside.json")) {
		t.Error("it counts as two devices for good")
	}
	if err := state.Follow(folder, "both.toml", "here"); err != nil {
		t.Fatal(err)
	}
	if left := state.LeftBehind(folder, "history", "here"); len(left) != 2 {
		t.Errorf("porch ages not: %q", left)
	}
}

// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"reflect"
	"testing"
	"time"

	"visavis/capture/internal/config"
	"visavis/capture/internal/history"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/zone"
)

func TestTheDefaultsOfTheSettingsAreThoseOfTheHub(t *testing.T) {
	made, err := config.Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := watch(made, made.Cameras[0], made.Detector.Score)
	got.Tracker.Interval = 0 // the hub's own are those of no camera
	if !reflect.DeepEqual(got, hub.DefaultWatch()) {
		t.Errorf("%+v, want %+v", got, hub.DefaultWatch())
	}
}

func TestEverySettingOfAPlaceReachesTheHub(t *testing.T) {
	made, err := config.Load("../../../contracts/config-golden/config.toml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := watch(made, made.Cameras[0], made.Detector.Score)
	want := zone.Settings{
		MinFace:  24,
		Occupied: zone.Delays{On: 500 * time.Millisecond, Off: 2 * time.Second},
		Masks: []zone.Polygon{
			{{X: 0, Y: 0}, {X: 0.2, Y: 0}, {X: 0.2, Y: 0.1}, {X: 0, Y: 0.1}}, {{X: 0.9, Y: 0.9}, {X: 1, Y: 0.9}, {X: 1, Y: 1}},
		},
		Zones: []zone.Zone{{
			Name: "step", Polygon: zone.Polygon{{X: 0.1, Y: 0.2}, {X: 0.9, Y: 0.2}, {X: 0.9, Y: 0.9}},
			MinDwell: 500 * time.Millisecond, Occupied: zone.Delays{Off: 10 * time.Second},
		}},
		Lines: []zone.Line{{Name: "gate", From: zone.Point{X: 0.5, Y: 1}, To: zone.Point{X: 0.5, Y: 0}}},
	}
	if !reflect.DeepEqual(got.Places, want) {
		t.Errorf("%+v, want %+v", got.Places, want)
	}
	if got.Tracker.LostAfter != 1500*time.Millisecond {
		t.Errorf("lost after %v, want 1.5 s", got.Tracker.LostAfter)
	}
	made.Cameras[0].FPS = 10
	for limit, each := range map[float64]time.Duration{0: time.Second / 10, 5: time.Second / 5, 30: time.Second / 10} {
		made.Cameras[0].DetectFPS = limit
		if expected := watch(made, made.Cameras[0], made.Detector.Score).Tracker.Interval; expected != each {
			t.Errorf("of ten pictures a second, %v of which may be looked at, one is expected each %v", limit, expected)
		}
	}
}

func TestNoTrackBeginsWithAFaceThatIsNotTold(t *testing.T) {
	for _, c := range []struct{ detector, tracker, told, begins float64 }{{0.5, 0.5, 0.5, 0.5}, {0.7, 0.5, 0.7, 0.7}, {0.3, 0.5, 0.3, 0.5}} {
		made, err := config.Load("", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		made.Detector.Score, made.Tracker.Score = c.detector, c.tracker
		if got := watch(made, made.Cameras[0], made.Detector.Score); got.Score != c.told || got.Tracker.Score != float32(c.begins) {
			t.Errorf("%+v: told from %v, tracks begin at %v", c, got.Score, got.Tracker.Score)
		}
	}
}

func TestWhatIsHiddenFollowsTheConfigurationAndNoOrder(t *testing.T) {
	for _, c := range []struct {
		configured, ordered float64
		hides               float32
	}{{0.5, 1, 0.5}, {0.9, 0.9, 0.5}, {0.3, 0.7, 0.3}} {
		made, err := config.Load("", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		made.Detector.Score = c.configured
		if got := watch(made, made.Cameras[0], c.ordered); got.Hides != c.hides {
			t.Errorf("detector.score = %v, %v ordered: hidden from %v", c.configured, c.ordered, got.Hides)
		}
	}
}

func TestTheHistoryKeepsForTheDaysAndBytesOfTheSettings(t *testing.T) {
	t.Setenv("VISAVIS_STATE_DIR", "/state")
	made, err := config.Load("", []string{"VISAVIS_HISTORY__DAYS=7", "VISAVIS_HISTORY__MB=2", "VISAVIS_DEVICE__ID=porch"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := history.Settings{Folder: "/state/history/porch", MostBytes: 2 << 20, MostAge: 7 * 24 * time.Hour}
	if got := historySettings(made); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

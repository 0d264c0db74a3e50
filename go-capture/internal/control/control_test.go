// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/waiting"
)

func TestMain(m *testing.M) { waiting.ForGoroutines(m) }

var plain = Rules{Privacy: "pixelate", Score: 0.5, Allowed: []string{"pixelate", "blur"}}

func order(t *testing.T, name, payload string) Order {
	t.Helper()
	o, err := Parse(name, []byte(payload))
	if err != nil {
		t.Fatalf("%s %q: %v", name, payload, err)
	}
	return o
}

// reason is why an error refuses, "" if it does not.
func reason(err error) string {
	var why Refusal
	errors.As(err, &why)
	return why.Reason
}

func TestEveryOrderIsUnderstoodAndToldAsItWasSaid(t *testing.T) {
	for _, c := range [][2]string{{Enabled, "OFF"}, {Detect, "OFF"}, {Privacy, "blur"}, {Score, "0.35"}, {Score, "1"}, {Score, "0"}} {
		o := order(t, c[0], c[1])
		if got := (State{Enabled: true, Detect: true}).with(o).Text(c[0]); got != c[1] {
			t.Errorf("%s %s is told as %q", c[0], c[1], got)
		}
	}
	order(t, Snapshot, "press")
}

func TestNothingButTheExactWordsIsAnOrder(t *testing.T) {
	for _, c := range []struct{ name, payload, why string }{
		{Detect, "on", "malformed"}, {Detect, "", "malformed"}, {Detect, "ON ", "malformed"}, {Enabled, "1", "malformed"},
		{Privacy, "NONE", "malformed"}, {Privacy, "mosaic", "malformed"}, {Snapshot, "", "malformed"}, {Snapshot, "PRESS", "malformed"},
		{Score, "NaN", "malformed"}, {Score, "1.1", "malformed"}, {Score, "-0", "malformed"}, {Score, "1e-1", "malformed"},
		{Score, ".5", "malformed"}, {Score, "0x1p-2", "malformed"}, {Score, "0,5", "malformed"}, {Score, "0." + strings.Repeat("5", 30), "malformed"},
		{"reboot", "ON", "unknown"}, {"", "ON", "unknown"}, {"Detect", "ON", "unknown"},
	} {
		if _, err := Parse(c.name, []byte(c.payload)); reason(err) != c.why {
			t.Errorf("%s %q: %v, want %s", c.name, c.payload, err, c.why)
		}
	}
}

func TestAnOrderChangesWhatHoldsAndSaysWhatHeldBefore(t *testing.T) {
	b := NewBoard("")
	camera := b.Camera("door", plain)
	done, err := b.Obey("door", order(t, Privacy, "blur"))
	if err != nil || done.From.Privacy != "pixelate" || done.To.Privacy != "blur" || camera.Now() != done.To {
		t.Fatalf("%+v, %v, now %+v", done, err, camera.Now())
	}
}

func TestWhatTheConfigurationDoesNotAllowIsRefused(t *testing.T) {
	b := NewBoard("")
	camera := b.Camera("door", plain)
	before := camera.Now()
	for _, o := range []Order{order(t, Privacy, "none"), order(t, Snapshot, "press")} {
		if _, err := b.Obey("door", o); reason(err) != "not_allowed" {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := b.Obey("yard", order(t, Detect, "OFF")); reason(err) != "unknown" {
		t.Errorf("a camera that is not there: %v", err)
	}
	if camera.Now() != before {
		t.Errorf("%+v after refusals, before %+v", camera.Now(), before)
	}
}

func TestAFloodOfOneCameraIsRefusedAndAnotherCameraObeys(t *testing.T) {
	b := NewBoard("")
	now := time.Now()
	b.now = func() time.Time { return now }
	b.Camera("door", plain)
	b.Camera("yard", plain)
	var refused int
	for range 10 * ordersAtOnce {
		if _, err := b.Obey("door", order(t, Detect, "OFF")); reason(err) == "too_many" {
			refused++
		}
	}
	if refused != 9*ordersAtOnce {
		t.Errorf("%d of the flood were refused", refused)
	}
	b.Forget("door") // a reload
	b.Camera("door", plain)
	if _, err := b.Obey("door", order(t, Detect, "ON")); reason(err) != "too_many" {
		t.Errorf("after a reload: %v", err)
	}
	if _, err := b.Obey("yard", order(t, Detect, "OFF")); err != nil {
		t.Error(err)
	}
}

func TestASwitchIsHeardByWhoWaits(t *testing.T) {
	b := NewBoard("")
	camera := b.Camera("door", plain)
	on, cancel := camera.While(context.Background(), true)
	defer cancel()
	if _, err := b.Obey("door", order(t, Enabled, "OFF")); err != nil {
		t.Fatal(err)
	}
	<-on.Done()
	back := make(chan bool)
	go func() { back <- camera.Await(context.Background(), true) }()
	if _, err := b.Obey("door", order(t, Enabled, "ON")); err != nil {
		t.Fatal(err)
	}
	if !<-back {
		t.Error("Await says that its context ended")
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if camera.Await(ended, true) || camera.Await(ended, false) {
		t.Error("Await goes on after the end of its context")
	}
}

// started is a board that keeps what it learns in a file.
func started(file string) *Board {
	b := NewBoard(file)
	b.Start()
	return b
}

// closed is the end of a process with a disk that may be slow.
func closed(b *Board) { b.memory.keeper.Close(waiting.Most) }

// restarted is a board of a later process with the same file.
func restarted(file string, b *Board) *Board {
	closed(b)
	return started(file)
}

func TestOrdersSurviveARestartButNoneThatShowsMore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders", "porch.json")
	rules := plain
	rules.Allowed = Privacies
	b := started(file)
	b.Camera("door", rules)
	b.Camera("yard", rules)
	for _, o := range []Order{order(t, Enabled, "OFF"), order(t, Detect, "OFF"), order(t, Score, "0.7"), order(t, Privacy, "blur")} {
		if _, err := b.Obey("door", o); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Obey("yard", order(t, Privacy, "none")); err != nil {
		t.Fatal(err)
	}
	b = restarted(file, b)
	defer closed(b)
	if got, want := b.Camera("door", rules).Now(), (State{Privacy: "blur", Score: 0.7}); got != want {
		t.Errorf("door is %+v, want %+v", got, want)
	}
	if got := b.Camera("yard", rules).Now().Privacy; got != "pixelate" {
		t.Errorf("after a restart the yard shows faces with %q", got)
	}
	rules.Allowed = nil
	if got := b.Camera("door", rules).Now().Privacy; got != "pixelate" {
		t.Errorf("%q is not allowed any more and still holds", got)
	}
}

func TestAnOrderThatRestoresTheConfigurationLeavesNothingToRemember(t *testing.T) {
	file := filepath.Join(t.TempDir(), "porch.json")
	b := started(file)
	b.Camera("door", plain)
	for _, o := range []Order{order(t, Score, "0.7"), order(t, Score, "0.5")} {
		if _, err := b.Obey("door", o); err != nil {
			t.Fatal(err)
		}
	}
	closed(b)
	if text, err := os.ReadFile(file); err != nil || string(text) != `{"version":1,"cameras":{}}`+"\n" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestADamagedFileCostsOnlyWhatWasOrdered(t *testing.T) {
	for _, text := range []string{"", "{", `{"version":2}`, `{"version":1,"cameras":{"door":{"score":7,"privacy":"x"}}}`, `{"version":1,"cameras":null}`} {
		file := filepath.Join(t.TempDir(), "porch.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b := started(file)
		if got := b.Camera("door", plain).Now(); got != (State{Enabled: true, Detect: true, Privacy: "pixelate", Score: 0.5}) {
			t.Errorf("%q: %+v", text, got)
		}
		if _, err := b.Obey("door", order(t, Detect, "OFF")); err != nil {
			t.Error(err)
		}
		closed(b)
	}
}

func TestOrdersOfANewerReleaseWaitForItAndThisOneKeepsItsOwn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "porch.json")
	const newer = `{"version":2,"cameras":{"door":"anything"}}`
	if err := os.WriteFile(file, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	b := started(file)
	b.Camera("door", plain)
	if _, err := b.Obey("door", order(t, Detect, "OFF")); err != nil {
		t.Fatal(err)
	}
	b = restarted(file, b)
	if now := b.Camera("door", plain).Now(); now.Detect {
		t.Error("what this release was ordered does not survive a restart")
	}
	if fault := b.Fault(); !strings.Contains(fault, file+" is of version 2, this program knows 1") {
		t.Errorf("the fault is %q", fault)
	}
	closed(b)
	if text, err := os.ReadFile(file); err != nil || string(text) != newer {
		t.Errorf("the newer release finds %s, %v", text, err)
	}
}

func TestADiskThatCannotBeWrittenHoldsUpNoOrder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a file, no folder")
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := started(filepath.Join(folder, "porch.json"))
	camera := b.Camera("door", plain)
	if _, err := b.Obey("door", order(t, Detect, "OFF")); err != nil || camera.Now().Detect {
		t.Fatalf("%v, %+v", err, camera.Now())
	}
	ended := make(chan struct{})
	go func() { b.memory.keeper.Close(time.Hour); close(ended) }()
	waiting.For(t, "the end does not wait for the disk", ended)
}

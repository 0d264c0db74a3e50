// SPDX-License-Identifier: Apache-2.0

package thermal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// tree is a folder as /sys/class/thermal, of types and what their files say.
func tree(t *testing.T, zones ...[2]string) string {
	t.Helper()
	folder := t.TempDir()
	for i, zone := range zones {
		at := filepath.Join(folder, "thermal_zone"+string(rune('0'+i)))
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"type": zone[0], "temp": zone[1]} {
			if err := os.WriteFile(filepath.Join(at, name), []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return folder
}

func degrees(c float64) *float64 { return &c }

func TestTheHottestZoneCountsAndBrokenOnesDoNot(t *testing.T) {
	if (Zones{Folder: t.TempDir()}).HottestC() != nil {
		t.Fatal("a temperature without any zone")
	}
	folder := tree(t, [2]string{"CPU-therm", "48250"}, [2]string{"GPU-therm", "61500"}, [2]string{"wifi", ""}, [2]string{"x", "no number"},
		[2]string{"iwl", "-40000"}, [2]string{"PMIC-Die", "100000"})
	if got := (Zones{Folder: folder}).HottestC(); got == nil || *got != 61.5 {
		t.Fatal("the hottest zone that measures, of 61.5, is not what counts")
	}
}

// A driver whose chip does not answer may read all ones. Such a zone would slow the device for ever.
func TestATemperatureThatNothingOutlivesIsNone(t *testing.T) {
	folder := tree(t, [2]string{"cpu-thermal", "50000"}, [2]string{"soc", "2147483647"}, [2]string{"ddr", "255000"})
	if got := (Zones{Folder: folder}).HottestC(); got == nil || *got != 50 {
		t.Fatalf("%v, want 50", *got)
	}
}

// The kernel answers EAGAIN for a zone of a Jetson without power, as an empty pipe does that somebody holds open.
func TestAZoneWithoutPowerIsNotWaitedFor(t *testing.T) {
	folder := tree(t, [2]string{"cpu-thermal", "50000"}, [2]string{"cv0-thermal", ""})
	zone := filepath.Join(folder, "thermal_zone1", "temp")
	if err := errors.Join(os.Remove(zone), unix.Mkfifo(zone, 0o600)); err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile(zone, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if got := (Zones{Folder: folder}).HottestC(); got == nil || *got != 50 {
		t.Fatalf("%v, want 50", got)
	}
}

func TestOnlyTheZonesOfTheGivenTypesCount(t *testing.T) {
	folder := tree(t, [2]string{"cpu-thermal", "50000"}, [2]string{"x86_pkg_temp", "90000"}, [2]string{"cpu-thermal-2", "80000"})
	if got := (Zones{Folder: folder, Types: []string{"cpu-thermal"}}).HottestC(); got == nil || *got != 50 {
		t.Fatalf("%v, want 50", got)
	}
	if got := (Zones{Folder: folder, Types: []string{"tj-thermal"}}).HottestC(); got != nil {
		t.Fatalf("%v of a zone that is not there", *got)
	}
}

func TestADeviceThatIsTooHotGetsSlowerStepByStepAndNotBelowTheLeast(t *testing.T) {
	g := NewGovernor(Limits{ThrottleC: 78, ResumeC: 72})
	for looks := 1; ; looks++ {
		before, after := g.Look(degrees(78))
		if after.Share == before.Share {
			if after.Share != leastShare || looks < 15 || looks > 25 {
				t.Fatalf("stops at %v after %d looks", after.Share, looks)
			}
			return
		}
		if after.Share < before.Share*0.85 || after.Share > before.Share || !after.Slowed() {
			t.Fatalf("from %v to %v", before.Share, after.Share)
		}
	}
}

func TestBetweenTheTwoLimitsNothingChanges(t *testing.T) {
	g := NewGovernor(Limits{ThrottleC: 78, ResumeC: 72})
	for _, celsius := range []float64{20, 77.9, 72.1} {
		if _, after := g.Look(degrees(celsius)); after.Slowed() {
			t.Fatalf("slowed at %v °C on the way up", celsius)
		}
	}
	_, hot := g.Look(degrees(80))
	for _, celsius := range []float64{77.9, 72.1} {
		if _, after := g.Look(degrees(celsius)); after.Share != hot.Share || *after.TemperatureC != celsius {
			t.Fatalf("%+v at %v °C on the way down, was %v", after, celsius, hot.Share)
		}
	}
}

func TestACoolDeviceIsAtFullSpeedAgainAndSoIsOneWithoutSensors(t *testing.T) {
	for _, celsius := range []*float64{degrees(72), nil} {
		g := NewGovernor(Limits{ThrottleC: 78, ResumeC: 72})
		for range 30 {
			g.Look(degrees(90))
		}
		if _, after := g.Look(celsius); after.Share > leastShare*1.2 {
			t.Fatalf("from the least to %v at once", after.Share)
		}
		for range 30 {
			g.Look(celsius)
		}
		if now := g.Now(); now.Share != 1 || now.Slowed() {
			t.Fatalf("%+v", now)
		}
	}
}

// Between the limits it stays as it is, and 0.9999999999999992 of full speed would be slowed for ever.
func TestAsManyLooksBackAsThereLeadToFullSpeed(t *testing.T) {
	for looks := range levelsMost + 5 {
		g := NewGovernor(Limits{ThrottleC: 78, ResumeC: 72})
		for range looks {
			g.Look(degrees(80))
		}
		for range min(looks, levelsMost) {
			g.Look(degrees(70))
		}
		if _, after := g.Look(degrees(75)); after.Slowed() {
			t.Errorf("after %d looks there and back: %v", looks, after.Share)
		}
	}
}

func TestWithoutALimitNothingIsSlowed(t *testing.T) {
	if _, after := NewGovernor(Limits{}).Look(degrees(120)); after.Share != 1 || *after.TemperatureC != 120 {
		t.Fatalf("%+v", after)
	}
}

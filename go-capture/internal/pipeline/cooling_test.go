// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/config"
	"visavis/capture/internal/logtest"
)

// board is an appliance with one thermal zone and a clock of its own.
type board struct {
	*Appliance
	t    *testing.T
	zone string
	at   time.Time
	log  strings.Builder
}

func newBoard(t *testing.T) *board {
	t.Helper()
	folder := t.TempDir()
	b := &board{Appliance: configured(t), t: t, zone: filepath.Join(folder, "thermal_zone0"), at: time.Unix(1_800_000_000, 0)}
	if err := os.Mkdir(b.zone, 0o700); err != nil {
		t.Fatal(err)
	}
	b.cooling = newCooling(config.Thermal{Folder: folder, ThrottleAtC: 78, ResumeAtC: 72})
	b.cooling.log = atFullSpeed(func() time.Time { return b.at })
	logtest.Hear(t, slog.NewTextHandler(&b.log, nil))
	return b
}

// stays lets the board have a temperature, in thousandths of a degree, for so long.
func (b *board) stays(thousandths string, long time.Duration) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.zone, "temp"), []byte(thousandths), 0o600); err != nil {
		b.t.Fatal(err)
	}
	for end := b.at.Add(long); b.at.Before(end); b.at = b.at.Add(10 * time.Second) {
		b.look()
	}
}

// lines counts what was said of the heat, and of its end.
func (b *board) lines() (hot, cool int) {
	return strings.Count(b.log.String(), "too hot, inference is slowed"), strings.Count(b.log.String(), "cool again, inference at full speed")
}

func TestADeviceThatGetsHotOnceADaySaysSoEachTime(t *testing.T) {
	b := newBoard(t)
	for range 3 {
		b.stays("60000", 12*time.Hour)
		b.stays("80000", 5*time.Minute)
	}
	b.stays("60000", time.Hour)
	if hot, cool := b.lines(); hot != 3 || cool != 3 {
		t.Errorf("%d lines of heat and %d of its end", hot, cool)
	}
}

func TestADeviceThatSwingsBetweenHotAndCoolSaysSoOnceAnHour(t *testing.T) {
	const hours = 24
	b := newBoard(t)
	for begin := b.at; b.at.Sub(begin) < hours*time.Hour; {
		b.stays("78000", 3*time.Minute)
		b.stays("72000", 4*time.Minute)
	}
	if hot, cool := b.lines(); hot > hours || hot < hours/2 || cool != hot {
		t.Errorf("%d lines of heat and %d of its end in %d hours", hot, cool, hours)
	}
}

// SPDX-License-Identifier: Apache-2.0

package track

import (
	"math"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// barNs is what a frame with thirty faces may cost.
const barNs = 200_000

// BenchmarkThirtyFaces reports how often one frame fits into the bar, by the processor's time, so that other load on the
// machine changes little.
func BenchmarkThirtyFaces(b *testing.B) {
	tracker, nowNs, boxes := New(Defaults()), int64(1e12), make([]Box, 30)
	frame := func(n int) {
		for i := range boxes {
			x, y := 30+200*float64(i%6), 30+140*float64(i/6)
			boxes[i] = Box{
				X: float32(x + 40*math.Sin(float64(n)/20+float64(i))), Y: float32(y + 20*math.Cos(float64(n)/15+float64(i))),
				W: 90, H: 110, Score: 0.3 + 0.6*float32((n+i)%7)/6,
			}
		}
		nowNs += (33 * time.Millisecond).Nanoseconds()
		tracker.Update(boxes, nowNs)
	}
	for n := range 30 {
		frame(n)
	}
	b.ReportAllocs()
	n, before := 30, busyNs(b)
	for b.Loop() {
		n++
		frame(n)
	}
	b.ReportMetric(barNs*float64(b.N)/float64(busyNs(b)-before), "frames/bar")
}

func busyNs(b *testing.B) int64 {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}

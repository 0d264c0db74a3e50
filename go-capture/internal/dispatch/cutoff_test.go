// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"strconv"
	"testing"
	"time"

	"visavis/capture/internal/ring"
)

// heardCutOffs are those of a dispatcher whose clock a test sets.
func heardCutOffs() (told *cutOffs, pass func(time.Duration)) {
	at := time.Unix(1_800_000_000, 0)
	return newCutOffs(func() time.Time { return at }), func(long time.Duration) { at = at.Add(long) }
}

func TestAWorkerThatWasWellIsToldOfAgain(t *testing.T) {
	h := newHouse(t, Options{})
	told, pass := heardCutOffs()
	h.Dispatcher.mu.Lock()
	h.cutOffs = told
	h.Dispatcher.mu.Unlock()
	p := h.worker(1)
	h.Dispatcher.mu.Lock()
	first := told.news("tester", overdue)
	pass(time.Minute)
	h.Dispatcher.mu.Unlock()
	p.close()
	h.worker(1)
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	pass(11 * time.Minute)
	if again := told.news("tester", overdue); !first || !again {
		t.Errorf("the first is told: %v, that after it was well: %v", first, again)
	}
	told.back("tester")
	pass(time.Minute)
	if told.news("tester", overdue) {
		t.Error("one that comes and goes is told each time")
	}
}

func TestWhatIsToldOfSomeWorkersKeepsNothingBackOfOthers(t *testing.T) {
	told, _ := heardCutOffs()
	for n := range ring.MaxWorkers {
		if name := strconv.Itoa(n); !told.news(name, overdue) || told.news(name, overdue) || !told.news(name, unread) {
			t.Errorf("each reason of worker %d is to be told once", n)
		}
	}
}

func TestWorkersThatNeverHaveTheSameNameAreBounded(t *testing.T) {
	told, pass := heardCutOffs()
	lines := func() (n int) {
		for name := range 1000 {
			if told.news("worker-"+strconv.Itoa(name)+strconv.FormatInt(told.now().Unix(), 10), overdue) {
				n++
			}
		}
		return n
	}
	first := lines()
	if first > namesMost+1 || len(told.of) > namesMost+1 {
		t.Errorf("%d lines, %d names", first, len(told.of))
	}
	pass(namesFor)
	if later := lines(); later != first {
		t.Errorf("%d lines in the next hour, %d in the first", later, first)
	}
}

// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/waiting"
)

// errLate is what a Close says that flushes and finds the server gone.
var errLate = fmt.Errorf("close: %w", syscall.ESTALE)

// hangsInClose makes a segment wait in its Close, which then fails. Writes to it return `writing`.
func (d *memoryDisk) hangsInClose(t *testing.T, s segment, writing error) (reached <-chan struct{}, goOn func()) {
	return d.hangs(t, func(what, name string, hang func()) error {
		switch {
		case name != s.name():
			return nil
		case what == "write":
			return writing
		case what != "close":
			return nil
		}
		hang()
		return errLate
	})
}

// hangs makes what calls hang wait until goOn is called, or the test ends. reached holds a token once it waits.
func (d *memoryDisk) hangs(t *testing.T, fault func(what, name string, hang func()) error) (reached <-chan struct{}, goOn func()) {
	waits, goesOn := make(chan struct{}, 1), make(chan struct{})
	hang := func() {
		nudge(waits)
		d.mu.Unlock()
		<-goesOn
		d.mu.Lock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = func(what, name string) error { return fault(what, name, hang) }
	goOn = sync.OnceFunc(func() { close(goesOn) })
	t.Cleanup(goOn)
	return waits, goOn
}

// closesOne is an outbox with thirty events or more, none of them acknowledged, whose next step closes a segment.
type closesOne struct {
	*Outbox
	disk    *memoryDisk
	closing segment
	writing error // what writes to that segment come to
	step    func() error
	says    error // what the step comes to once Close has failed; nil: no error
}

func (c *closesOne) begin(t *testing.T) {
	c.disk = newMemoryDisk()
	c.Outbox = loadedFrom(t, c.disk, Settings{})
	put(t, c.Outbox, 1, 30)
	round(t, c.Outbox)
	c.closing = segment{first: 1}
}

// retiring ends its segment in order.
func retiring(t *testing.T) *closesOne {
	c := &closesOne{says: errLate}
	c.begin(t)
	c.step = c.retire
	return c
}

// abandoning has a segment that takes nothing more.
func abandoning(t *testing.T) *closesOne {
	c := &closesOne{writing: syscall.EIO, says: syscall.EIO}
	c.begin(t)
	put(t, c.Outbox, 31, 31)
	c.step = func() error {
		for range storeTries - 1 {
			_ = c.round(true) // fails, and the segment is tried again
		}
		return c.round(true)
	}
	return c
}

// reading finds that the segment before the one it reads now has lost its end.
func reading(t *testing.T) *closesOne {
	c := &closesOne{disk: threeSegments(t), closing: segment{first: 11}}
	torn := c.disk.files[segment{first: 1}.name()]
	torn.data = torn.data[:len(torn.data)-1]
	c.Outbox = loadedFrom(t, c.disk, Settings{})
	for range 9 {
		mustNext(t, c.Outbox)
	}
	c.step = func() error {
		_, _, err := c.take()
		return err
	}
	return c
}

func TestAppendAndStatsDoNotWaitForADiskThatHangsInClose(t *testing.T) {
	for name, prepared := range map[string]func(*testing.T) *closesOne{
		"a segment that retires": retiring, "a segment that is abandoned": abandoning, "a segment that was read": reading,
	} {
		t.Run(name, func(t *testing.T) {
			c := prepared(t)
			reached, goOn := c.disk.hangsInClose(t, c.closing, c.writing)
			ended := make(chan error, 1)
			go func() { ended <- c.step() }()
			waiting.For(t, "it hangs in Close", reached)
			before := make(chan Stats, 1)
			go func() {
				_ = c.Append("t", []byte("newest")) // Stats tells
				before <- c.Stats()
			}()
			if s := waiting.For(t, "Append and Stats return", before); s.Waiting < 31 {
				t.Errorf("%+v", s)
			}
			goOn()
			if err := waiting.For(t, "the step ends", ended); !errors.Is(err, c.says) {
				t.Errorf("it ends with %v, want %v", err, c.says)
			}
			c.disk.healed()
			round(t, c.Outbox)
			if s := loadedFrom(t, c.disk.kill(), Settings{}).Stats(); s.Waiting < 31 || s.Dropped != 0 {
				t.Errorf("on disk: %+v", s)
			}
		})
	}
}

// hangsIn makes each such step of the disk wait.
func (d *memoryDisk) hangsIn(t *testing.T, step string) (reached <-chan struct{}, goOn func()) {
	return d.hangs(t, func(what, _ string, hang func()) error {
		if what == step {
			hang()
		}
		return nil
	})
}

// TestAConnectionDoesNotWaitForTheOneBeforeThatADiskHolds: the next one delivers all of it once the disk goes on.
func TestAConnectionDoesNotWaitForTheOneBeforeThatADiskHolds(t *testing.T) {
	d := threeSegments(t)
	o := loadedFrom(t, d, Settings{})
	close(o.ended) // it has no writer
	reached, goOn := d.hangsIn(t, "read")
	publishes := func(r Record) Delivery { return delivered(nil) }
	deliver := func(ctx context.Context) <-chan error {
		ended := make(chan error, 1)
		go func() { ended <- o.Deliver(ctx, publishes) }()
		return ended
	}
	first, leave := context.WithCancel(context.Background())
	held := deliver(first)
	waiting.For(t, "it hangs in a read", reached)
	leave()
	if err := waiting.For(t, "the first connection ends", held); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	second, leaveToo := context.WithCancel(context.Background())
	waits := deliver(second)
	leaveToo()
	if err := waiting.For(t, "the second connection ends", waits); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	closing, end := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer end()
	closed := make(chan error, 1)
	go func() { closed <- o.Close(closing) }()
	if err := waiting.For(t, "it is closed", closed); err != nil {
		t.Error(err)
	}
	goOn()
	third, done := context.WithCancel(context.Background())
	var got []uint64
	publishes = func(r Record) Delivery {
		if got = append(got, r.Seq); len(got) == 30 {
			done()
		}
		return delivered(nil)
	}
	waiting.For(t, "the third connection has delivered all", deliver(third))
	for n, seq := range got {
		if seq != uint64(n)+1 {
			t.Fatalf("%v", got)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package dispatch

import "testing"

func TestNoMoreThanTenSecondLeasesAreSavedUp(t *testing.T) {
	d := New(Options{})
	d.spare = 0
	if d.save(); d.spare != sparePerOne {
		t.Errorf("after one result %v are left, want %v", d.spare, sparePerOne)
	}
	for range 200 {
		d.save()
	}
	if d.spare != mostSpare {
		t.Errorf("after 200 more %v are left, want %d", d.spare, mostSpare)
	}
}

// Both are late, and so is each when the timer comes once more.
func TestASecondLeaseIsPromisedToOnePicture(t *testing.T) {
	h := newHouse(t, Options{Credit: 2})
	guest := h.guest(2)
	h.worker(2)
	for range 2 {
		publish(guest)
	}
	h.Dispatcher.mu.Lock()
	h.spare = 1
	h.Dispatcher.mu.Unlock()
	h.makeLate()
	h.makeLate()
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	if n := len(guest.pending); n != 1 {
		t.Errorf("%d pictures wait for the one that is left", n)
	}
}

// The worker that has it has room for others.
func TestALatePictureThatOnlyAnotherWorkerMayTakeHoldsNothingUp(t *testing.T) {
	for what, behind := range map[string]func(*house, *Stream){
		"a picture":        func(_ *house, guest *Stream) { publish(guest) },
		"a camera's frame": func(h *house, _ *Stream) { publish(h.stream("door")) },
	} {
		h := newHouse(t, Options{Credit: 2})
		guest := h.guest(2)
		h.worker(2)
		publish(guest)
		h.makeLate()
		h.Dispatcher.mu.Lock()
		h.guestsDue = 1
		h.Dispatcher.mu.Unlock()
		behind(h, guest)
		if n := h.Snapshot().Workers[0].Outstanding; n != 2 {
			t.Errorf("the worker has %d frames: %s waits", n, what)
		}
	}
}

func TestWhatGuestsAreDueCountsNoFurtherThanOneFrame(t *testing.T) {
	d := New(Options{})
	camera, guest := &Stream{dispatcher: d}, &Stream{dispatcher: d, spec: StreamSpec{Guest: true}}
	d.streams = []*Stream{camera, guest}
	for s, want := range map[*Stream]float64{camera: 1, guest: -1} {
		slot := &Slot{stream: s}
		camera.pending, guest.pending = []*Slot{slot}, []*Slot{slot}
		for range 100 {
			d.settle(slot)
		}
		if d.guestsDue != want {
			t.Errorf("after 100 frames guests are due %v, want %v", d.guestsDue, want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"unsafe"
)

func sized(t *testing.T, pool *Pool, width, height int) *Picture {
	t.Helper()
	picture, ok := pool.Get()
	if !ok {
		t.Fatal("the pool has no free picture")
	}
	if err := picture.SetSize(width, height); err != nil {
		t.Fatal(err)
	}
	return picture
}

func mustPanic(t *testing.T, what string, call func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", what)
		}
	}()
	call()
}

func TestAPictureHasExactlyTheBytesOfItsSize(t *testing.T) {
	picture := sized(t, NewPool(1), 641, 3)
	if len(picture.Pixels) != 641*3*3 || cap(picture.Pixels) != len(picture.Pixels) || picture.Width != 641 || picture.Height != 3 {
		t.Errorf("got len %d cap %d for %dx%d", len(picture.Pixels), cap(picture.Pixels), picture.Width, picture.Height)
	}
	picture.Pixels[len(picture.Pixels)-1] = 7 // must not fault
}

func TestAReleasedPictureIsLentAgainWithTheSameMemoryAndNothingOfItsPast(t *testing.T) {
	pool := NewPool(1)
	picture := sized(t, pool, 64, 48)
	picture.SetJPEG([]byte("a jpeg"))
	picture.CapturedNs, picture.DriverSeq = 5, 6
	address := unsafe.SliceData(picture.Pixels)
	picture.Release()
	again := sized(t, pool, 64, 48)
	if unsafe.SliceData(again.Pixels) != address {
		t.Error("the memory was not used again")
	}
	if again.JPEG != nil || again.CapturedNs != 0 || again.DriverSeq != 0 {
		t.Errorf("the last use shows: %d bytes of JPEG, captured %d, sequence %d", len(again.JPEG), again.CapturedNs, again.DriverSeq)
	}
}

func TestThePoolLendsAtMostItsNumberOfPictures(t *testing.T) {
	pool := NewPool(2)
	first := sized(t, pool, 8, 8)
	sized(t, pool, 8, 8)
	if _, ok := pool.Get(); ok {
		t.Fatal("a third picture was lent by a pool of two")
	}
	first.Retain()
	first.Release()
	if _, ok := pool.Get(); ok {
		t.Fatal("a picture was lent that somebody still holds")
	}
	first.Release()
	if _, ok := pool.Get(); !ok {
		t.Fatal("the released picture was not lent again")
	}
}

// together has so many pictures in use at once, so many times.
func together(t *testing.T, pool *Pool, number, times int) (lent []*Picture) {
	t.Helper()
	for range times {
		lent = nil
		for range number {
			lent = append(lent, sized(t, pool, 64, 48))
		}
		for _, picture := range lent {
			picture.Release()
		}
	}
	return lent
}

func TestWhatABusyMomentNeededIsGivenBackAndMayBeLentAgain(t *testing.T) {
	pool := NewPool(8)
	busy := together(t, pool, 8, 1)
	together(t, pool, 2, shrinkEvery)
	mapped := slices.DeleteFunc(busy, func(p *Picture) bool { return p.memory == nil })
	if len(mapped) != 2 {
		t.Errorf("%d pictures keep their memory, want the 2 that are needed", len(mapped))
	}
	together(t, pool, 8, 1)
	for range 8 {
		sized(t, pool, 64, 48)
	}
	if _, ok := pool.Get(); ok {
		t.Error("more were lent than the pool may have")
	}
}

func TestReleasingOrRetainingAPictureThatNobodyHoldsPanics(t *testing.T) {
	pool := NewPool(1)
	picture := sized(t, pool, 8, 8)
	picture.Release()
	mustPanic(t, "Release", picture.Release)
	other := NewPool(1)
	picture = sized(t, other, 8, 8)
	picture.Release()
	mustPanic(t, "Retain", picture.Retain)
}

func TestAnotherSizeGivesAnotherLengthAndTheSameSizeKeepsTheContent(t *testing.T) {
	picture := sized(t, NewPool(1), 4, 4)
	picture.Pixels[0] = 9
	if err := picture.SetSize(4, 4); err != nil || picture.Pixels[0] != 9 {
		t.Errorf("the same size lost the content: %v", err)
	}
	for _, size := range [][2]int{{1920, 1080}, {2, 2}, {1, 3000}} {
		if err := picture.SetSize(size[0], size[1]); err != nil || len(picture.Pixels) != 3*size[0]*size[1] {
			t.Errorf("%v: %d bytes, %v", size, len(picture.Pixels), err)
		}
	}
}

func TestImpossibleSizesAreRefusedAndLeaveThePictureAsItWas(t *testing.T) {
	picture := sized(t, NewPool(1), 4, 4)
	for _, size := range [][2]int{{0, 4}, {4, 0}, {-1, 4}, {SideMost + 1, 1}, {10_000, 10_000}} {
		if err := picture.SetSize(size[0], size[1]); err == nil {
			t.Errorf("%v was accepted", size)
		}
	}
	if picture.Width != 4 || len(picture.Pixels) != 48 {
		t.Errorf("the picture changed to %dx%d", picture.Width, picture.Height)
	}
}

func TestASharedPictureCannotBeResized(t *testing.T) {
	picture := sized(t, NewPool(1), 4, 4)
	picture.Retain()
	if err := picture.SetSize(8, 8); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v", err)
	}
	picture.Release()
	if err := picture.SetSize(8, 8); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

func TestAClosedPoolLendsNothingAndUnmapsWhatComesBack(t *testing.T) {
	pool := NewPool(2)
	lent, free := sized(t, pool, 8, 8), sized(t, pool, 8, 8)
	free.Release()
	pool.Close()
	if free.memory != nil {
		t.Error("a free picture kept its memory")
	}
	lent.Pixels[0] = 1 // still mapped: its holder may finish
	if _, ok := pool.Get(); ok {
		t.Error("a closed pool lent a picture")
	}
	lent.Release()
	if lent.memory != nil || lent.Pixels != nil {
		t.Error("a picture that came back kept its memory")
	}
}

func TestPixelsLieOutsideTheHeap(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	pool := NewPool(4)
	for range 4 {
		picture := sized(t, pool, 1920, 1080)
		picture.Pixels[0] = 1
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes for pictures outside it", grown)
	}
	pool.Close()
}

// Each holder reads the mark that the owner wrote: a picture lent twice at once would show another mark, and -race the writer.
func TestManyHoldersNeverSeeAPictureThatWasLentAgain(t *testing.T) {
	pool := NewPool(3)
	var everybody sync.WaitGroup
	for owner := range 4 {
		everybody.Add(1)
		go func() {
			defer everybody.Done()
			lendMany(t, pool, &everybody, byte(owner))
		}()
	}
	everybody.Wait()
	for range 3 {
		if _, ok := pool.Get(); !ok {
			t.Fatal("a picture was lost")
		}
	}
}

func lendMany(t *testing.T, pool *Pool, everybody *sync.WaitGroup, owner byte) {
	for n := 0; n < 500; {
		picture, ok := pool.Get()
		if !ok {
			runtime.Gosched()
			continue
		}
		n++
		if err := picture.SetSize(1+rand.IntN(64), 1+rand.IntN(64)); err != nil {
			t.Error(err)
		}
		picture.Pixels[0], picture.DriverSeq = owner, uint64(owner)
		picture.Retain()
		everybody.Add(1)
		go func() {
			defer everybody.Done()
			if picture.Pixels[0] != owner || picture.DriverSeq != uint64(owner) {
				t.Error("a held picture was written by another owner")
			}
			picture.Release()
		}()
		picture.Release()
	}
}

func TestTheMonotonicClockNeverGoesBack(t *testing.T) {
	last := MonotonicNs()
	for range 1000 {
		now := MonotonicNs()
		if now < last {
			t.Fatalf("%d after %d", now, last)
		}
		last = now
	}
}

// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestABodyIsReadWholeUpToTheLimitAndCountsWhileItIsHeld(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		const most, room = 300_000, 500_000
		sent := bytes.Repeat([]byte("visavis "), rapid.IntRange(0, 45_000).Draw(r, "words"))
		sent = sent[:min(len(sent), rapid.IntRange(0, most+20_000).Draw(r, "bytes"))]
		bodies := newBudget(room)
		b := &body{share: bodies.of(sender{})}
		err := b.read(iotest.HalfReader(bytes.NewReader(sent)), most)
		if tooLong := len(sent) > most; errors.Is(err, errTooLong) != tooLong || (err != nil) != tooLong {
			r.Fatalf("%d bytes: %v", len(sent), err)
		}
		if err == nil && !bytes.Equal(b.bytes, sent) {
			r.Fatalf("%d bytes became %d", len(sent), len(b.bytes))
		}
		if b.held < int64(len(b.bytes)) || bodies.free != room-b.held {
			r.Fatalf("%d bytes count as %d", len(b.bytes), b.held)
		}
		b.release()
		b.release()
		if bodies.free != room {
			r.Fatal("not everything is back")
		}
	})
}

func TestABodyWithoutRoomIsNotRead(t *testing.T) {
	bodies := newBudget(100_000)
	first, second := &body{share: bodies.of(sender{})}, &body{share: bodies.of(sender{account: "another"})}
	if err := first.read(strings.NewReader("a picture"), 1000); err != nil {
		t.Fatal(err)
	}
	endless := io.LimitReader(neverEnding{}, 1<<20)
	if err := second.read(endless, 1<<20); !errors.Is(err, errNoRoom) {
		t.Fatalf("read into no room: %v", err)
	}
	second.release()
	first.release()
	if bodies.free != 100_000 {
		t.Fatal("not everything is back")
	}
}

// What unwrapping takes beside the body is counted nowhere.
func TestAPictureInJSONTakesNoMoreMemoryThanItsText(t *testing.T) {
	const most = 4 << 20
	picture := append([]byte("\xff\xd8\xff"), bytes.Repeat([]byte("\xff"), most/2)...) // slashes, in base64
	text := base64.StdEncoding.EncodeToString(picture)
	for name, image := range map[string]string{"as it is": text, "escaped": strings.ReplaceAll(text, "/", `\/`)} {
		b := &body{share: newBudget(4 * most).of(sender{})}
		if err := b.read(strings.NewReader(`{"score": 0.5, "image": "`+image+`"}`), 2*most); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		counted := b.held
		runtime.ReadMemStats(&before)
		err := b.unwrap()
		runtime.ReadMemStats(&after)
		if err != nil || b.contentType != jpegType || b.score != 0.5 || !bytes.Equal(b.bytes, picture) {
			t.Errorf("%s: %v, %s, %v, %d bytes", name, err, b.contentType, b.score, len(b.bytes))
		}
		if took := int64(after.TotalAlloc - before.TotalAlloc); took > b.held-counted+1<<18 {
			t.Errorf("%s: %d bytes more were taken, and %d counted", name, took, b.held-counted)
		}
		b.release()
	}
}

func TestABodyOfWhichNothingComesHoldsNextToNothing(t *testing.T) {
	bodies := newBudget(1 << 20)
	b := &body{share: bodies.of(sender{})}
	if err := b.read(iotest.ErrReader(io.ErrNoProgress), 1<<20); !errors.Is(err, io.ErrNoProgress) {
		t.Fatal(err)
	}
	if b.held > 4<<10 {
		t.Errorf("%d bytes are held", b.held)
	}
	b.release()
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// SPDX-License-Identifier: Apache-2.0

package requestlog

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/logtest"
)

const (
	goodTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	traceID   = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID  = "00f067aa0ba902b7"
)

func TestLinesThatAreLeftOutAreCounted(t *testing.T) {
	logtest.Hear(t, slog.NewTextHandler(io.Discard, nil))
	log := New(Refused)
	for range linesBurst + 5 {
		log.Answered(t.Context(), Answered{IsRefusal: true, Began: time.Now()})
	}
	if missed := <-log.missed; missed < 4 || missed > 5 {
		t.Errorf("%d lines are counted as left out, want 5", missed)
	}
}

func TestOnlyAnUsableIDIsTaken(t *testing.T) {
	seen := map[string]bool{}
	for _, sent := range []string{"", "two words", "line\nbreak", "<script>", "ü", strings.Repeat("a", idMost+1), `"`} {
		got := ID([]string{sent})
		if got == sent || !isID(got) || seen[got] {
			t.Errorf("%q became %q", sent, got)
		}
		seen[got] = true
	}
	if got := ID([]string{"shop-17:4", "another"}); got != "shop-17:4" {
		t.Errorf("the first became %q", got)
	}
	if !isID(ID(nil)) {
		t.Error("none is made where none came")
	}
}

func TestOnlyAWellFormedTraceIsTaken(t *testing.T) {
	for text, good := range map[string]bool{
		goodTrace: true, "cc" + goodTrace[2:] + "-what comes later": true, "cc" + goodTrace[2:]: true,
		"": false, "00": false, goodTrace + "-more": false, "cc" + goodTrace[2:] + "more": false, "ff" + goodTrace[2:]: false,
		strings.ToUpper(goodTrace): false, strings.Replace(goodTrace, traceID, strings.Repeat("0", 32), 1): false,
		strings.Replace(goodTrace, parentID, strings.Repeat("0", 16), 1): false, strings.Replace(goodTrace, "-01", "-0g", 1): false,
		strings.Replace(goodTrace, "-", "_", 1): false,
	} {
		if got, ok := readTrace([]string{text}); ok != good || (ok && got != trace{traceID, parentID}) {
			t.Errorf("%q: %v %v", text, got, ok)
		}
	}
	if _, ok := readTrace(nil); ok {
		t.Error("none is taken")
	}
	if _, ok := readTrace([]string{goodTrace, goodTrace}); ok {
		t.Error("two of them are taken")
	}
}

// FuzzRequestHeaders: whatever a client sends, what is carried on is an id that headers and logs can hold, and a trace of hex digits.
func FuzzRequestHeaders(f *testing.F) {
	for _, id := range []string{"", "a-1", "two words", "\x00"} {
		for _, text := range []string{goodTrace, "cc" + goodTrace[2:] + "-x", goodTrace[:20]} {
			f.Add(id, text)
		}
	}
	f.Fuzz(func(t *testing.T, id, text string) {
		if isID(id) && (len(id) > idMost || strings.ContainsAny(id, " \r\n\"\\<>{}\x00")) {
			t.Fatalf("%q is taken", id)
		}
		got, ok := readTrace([]string{text})
		if ok && (!isHex(got.id) || !isHex(got.parent) || len(got.id) != 32 || len(got.parent) != 16 || !strings.Contains(text, got.id)) {
			t.Fatalf("%q gives %v", text, got)
		}
	})
}

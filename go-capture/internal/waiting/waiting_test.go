// SPDX-License-Identifier: Apache-2.0

package waiting

import (
	"fmt"
	"testing"
)

// failing is a test that keeps what it was failed with.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, values ...any) {
	f.said = fmt.Sprintf(format, values...)
	panic(f) // a real test ends here, too
}

func (f *failing) runs(test func()) {
	defer func() { _ = recover() }()
	test()
}

func TestUntilLooksUntilItHoldsOrTimeIsUp(t *testing.T) {
	looked := 0
	Until(t, "the third look", func() bool { looked++; return looked == 3 })
	if looked != 3 {
		t.Errorf("it looked %d times", looked)
	}
	f := &failing{TB: t}
	f.runs(func() { within(f, 0, "a wonder", func() bool { return false }) })
	if f.said != "not within 0s: a wonder" {
		t.Errorf("it failed with %q", f.said)
	}
}

func TestForIsTheNextValue(t *testing.T) {
	from := make(chan int, 1)
	from <- 7
	if got := For(t, "seven", from); got != 7 {
		t.Errorf("got %d", got)
	}
	close(from)
	if got := For(t, "the end", from); got != 0 {
		t.Errorf("got %d of a closed channel", got)
	}
}

func TestAContextHasALimit(t *testing.T) {
	if _, limited := Context(t).Deadline(); !limited {
		t.Error("it lasts for ever")
	}
}

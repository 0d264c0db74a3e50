// SPDX-License-Identifier: Apache-2.0

package usbreset

import (
	"slices"
	"testing"
	"time"
)

// life is what a camera does, one step after another, from second 0 on.
type life struct {
	watch  *Watch
	at     time.Time
	resets []int // seconds
}

func newLife() *life {
	l := &life{at: time.Unix(1_800_000_000, 0)}
	l.watch = New(func() time.Time { return l.at })
	return l
}

type step func(*life)

// hangs is a camera that is tried every so often for so long, always in vain.
func hangs(long, each time.Duration) step {
	return func(l *life) {
		for end := l.at.Add(long); l.at.Before(end); l.at = l.at.Add(each) {
			if l.watch.Silent() {
				l.resets = append(l.resets, int(l.at.Unix()-1_800_000_000))
			}
		}
	}
}

func gives(long time.Duration) step {
	return func(l *life) {
		l.at = l.at.Add(long)
		l.watch.Gave(long)
	}
}

// other is a camera that is away, or that another program has.
func other(l *life) {
	l.watch.Other()
	l.at = l.at.Add(2 * time.Second)
}

func TestWhenACameraIsReset(t *testing.T) {
	const s, each = time.Second, 2 * time.Second
	for name, c := range map[string]struct {
		steps []step
		want  []int
	}{
		"it hangs for less than half a minute":           {[]step{hangs(30*s, each), gives(s), hangs(30*s, each)}, nil},
		"half a minute, with too few tries":              {[]step{hangs(60*s, 30*s)}, nil},
		"a slow camera has had its three tries":          {[]step{hangs(90*s, 30*s)}, []int{60}},
		"a reset helps":                                  {[]step{hangs(32*s, each), gives(time.Hour)}, []int{30}},
		"no reset helps":                                 {[]step{hangs(time.Hour+8*time.Minute, each)}, []int{30, 90, 390, 2190, 3990}},
		"each helps, and it hangs again":                 {[]step{hangs(32*s, each), gives(60 * s), hangs(32*s, each), gives(60 * s), hangs(32*s, each)}, []int{30, 122, 214}},
		"a few pictures do not count as help":            {[]step{hangs(32*s, each), gives(10 * s), hangs(50*s, each)}, []int{30, 90}},
		"it is plugged in again and hangs again":         {[]step{hangs(20*s, each), other, hangs(20*s, each)}, nil},
		"the pause holds for one that was plugged in":    {[]step{hangs(32*s, each), other, hangs(60*s, each)}, []int{30, 90}},
		"another program has it now and then":            {[]step{hangs(28*s, each), other, hangs(28*s, each), other, hangs(32*s, each)}, []int{90}},
		"it was never there, or always in another's use": {slices.Repeat([]step{other}, 100), nil},
	} {
		l := newLife()
		for _, next := range c.steps {
			next(l)
		}
		if !slices.Equal(l.resets, c.want) {
			t.Errorf("%s: reset at %v s, want %v", name, l.resets, c.want)
		}
	}
}

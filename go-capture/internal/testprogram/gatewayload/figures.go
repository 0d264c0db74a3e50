// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"time"
)

// figures are what closed and open print.
type figures struct {
	Seconds  float64     `json:"seconds"`
	Sent     int         `json:"sent"`
	Within   int         `json:"within"`           // answers of status 200 that came while requests were begun
	Timely   int         `json:"timely"`           // answers of status 200 that took no longer than -deadline
	Last     float64     `json:"last"`             // seconds from the beginning to the last answer of status 200
	Statuses map[int]int `json:"statuses"`         // 0 = the connection broke
	Waiting  int         `json:"waiting"`          // without an answer when the grace was over
	Answered spread      `json:"answered"`         // of status 200, and those that still waited
	Refused  spread      `json:"refused"`          // of status 429 and 503
	Told     int         `json:"told"`             // refusals with Retry-After
	Probes   *spread     `json:"probes,omitempty"` // with those that were due while one was waited for
	Failed   int         `json:"failed"`           // probes without an answer of status 200
}

// spread is of times in milliseconds; one that reaches into requests without an answer is only known to be more.
type spread struct {
	Count   int     `json:"count"`
	P50     float64 `json:"p50"`
	P50More bool    `json:"p50_more"`
	P99     float64 `json:"p99"`
	P99More bool    `json:"p99_more"`
	Most    float64 `json:"most"`
}

func (s settings) summary(began time.Time, seen, probes []outcome) figures {
	f := figures{Seconds: s.span.Seconds(), Sent: len(seen), Statuses: map[int]int{}}
	var answered, refused []outcome
	for _, one := range seen {
		switch {
		case one.waiting:
			f.Waiting++
			answered = append(answered, one)
			continue
		case one.status == 200:
			answered = append(answered, one)
			f.good(one, began, s)
		case one.status == 429 || one.status == 503:
			refused = append(refused, one)
			if one.retryAfter > 0 {
				f.Told++
			}
		}
		f.Statuses[one.status]++
	}
	f.Answered, f.Refused = spreadOf(answered), spreadOf(refused)
	if probes != nil {
		found := spreadOf(allDue(probes, s.probePause))
		f.Probes = &found
		f.Failed = len(slices.DeleteFunc(probes, func(o outcome) bool { return o.status == 200 }))
	}
	return f
}

// allDue adds the probes that would have been asked while one was waited for: each waited for the rest of that time. Otherwise a
// server that stands still for a second would look as if it had done so for one request of many (HdrHistogram's correction for
// coordinated omission). One that failed has waited for nothing, however soon.
func allDue(probes []outcome, every time.Duration) (all []outcome) {
	for _, one := range probes {
		one.waiting = one.waiting || one.status != 200
		for ; one.took > 0; one.took -= max(every, time.Millisecond) {
			all = append(all, one)
		}
	}
	return all
}

// good counts one answer of status 200.
func (f *figures) good(one outcome, began time.Time, s settings) {
	at := one.ended.Sub(began)
	f.Last = max(f.Last, at.Seconds())
	if at <= s.span {
		f.Within++
	}
	if one.took <= s.deadline {
		f.Timely++
	}
}

// spreadOf puts requests without an answer last: each would have taken longer than it had waited.
func spreadOf(all []outcome) spread {
	if len(all) == 0 {
		return spread{}
	}
	ordered := slices.Clone(all)
	slices.SortFunc(ordered, func(a, b outcome) int {
		if a.waiting != b.waiting {
			return map[bool]int{true: 1, false: -1}[a.waiting]
		}
		return int(a.took - b.took)
	})
	longest := slices.MaxFunc(ordered, func(a, b outcome) int { return int(a.took - b.took) }).took
	at := func(share float64) (float64, bool) {
		one := ordered[int(math.Ceil(share*float64(len(ordered))))-1]
		if one.waiting {
			return ms(longest), true
		}
		return ms(one.took), false
	}
	s := spread{Count: len(all), Most: ms(longest)}
	s.P50, s.P50More = at(0.5)
	s.P99, s.P99More = at(0.99)
	return s
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

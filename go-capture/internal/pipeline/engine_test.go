// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"testing"
	"time"

	"visavis/capture/internal/engine"
)

func TestTheInfoIsNotSentForEachPercentButForEverythingElse(t *testing.T) {
	at := time.Unix(1_000, 0)
	build := func(percent int) *engine.State {
		return &engine.State{State: engine.Building, Model: "centerface", Percent: percent, Since: time.Unix(900, 0)}
	}
	failed := &engine.State{State: engine.Failed, Model: "centerface", Percent: 30, Since: time.Unix(900, 0)}
	var told calm
	for i, step := range []struct {
		after time.Duration
		state *engine.State
		want  *engine.State
	}{
		{0, nil, nil},
		{0, build(1), build(1)},
		{time.Second, build(2), build(1)},
		{4999 * time.Millisecond, build(20), build(1)},
		{5 * time.Second, build(21), build(21)},
		{9 * time.Second, build(30), build(21)},
		{9 * time.Second, failed, failed},
		{9 * time.Second, build(1), build(1)},
		{9 * time.Second, nil, nil},
	} {
		got := told.of(step.state, at.Add(step.after))
		if (got == nil) != (step.want == nil) || got != nil && *got != *step.want {
			t.Errorf("step %d tells %+v, want %+v", i, got, step.want)
		}
	}
}

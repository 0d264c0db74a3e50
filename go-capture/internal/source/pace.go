// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"time"

	"visavis/capture/internal/frame"
)

// pace lets through at most so many pictures a second.
type pace struct {
	intervalNs, nextNs int64
}

// newPace makes one for fps pictures a second; 0 lets all through.
func newPace(fps float64) pace {
	if fps <= 0 {
		return pace{}
	}
	return pace{intervalNs: int64(float64(time.Second) / fps)}
}

// due reports whether the picture captured at nowNs is wanted. The answer holds for those after it until one is taken.
func (p *pace) due(nowNs int64) bool { return p.intervalNs == 0 || nowNs >= p.nextNs }

// took notes the picture that was given; a damaged one is none. It keeps the rhythm: one late picture does not delay the next.
func (p *pace) took(nowNs int64) { p.nextNs = max(p.nextNs+p.intervalNs, nowNs+p.intervalNs/2) }

// paced passes over pictures that come too soon. Sources that can tell before they unpack a picture do it themselves.
type paced struct {
	Source
	pace pace
}

func pacing(open opener) opener {
	return func(ctx context.Context, s Settings, rest string) (Source, error) {
		opened, err := open(ctx, s, rest)
		if err != nil || s.MostFPS <= 0 {
			return opened, err
		}
		return &paced{Source: opened, pace: newPace(s.MostFPS)}, nil
	}
}

func (p *paced) Grab(ctx context.Context, into *frame.Picture) error {
	for {
		if err := p.Source.Grab(ctx, into); err != nil {
			return err
		}
		if p.pace.due(into.CapturedNs) {
			p.pace.took(into.CapturedNs)
			return nil
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package requestlog lets a request be found again, whichever way it came: by an id that its answer carries, and by its line in the log.
package requestlog

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/time/rate"
)

const (
	pathMost = 200 // bytes of a path in a line of the log

	// What a flood of refusals may write: one line in five seconds, twenty at once.
	linesPerSecond = 0.2
	linesBurst     = 20
)

// Which requests get a line.
const (
	Refused = "refused"
	All     = "all"
	None    = "none"
)

// Answered is a request that has its answer.
type Answered struct {
	Method, Path, Client string
	ID                   string
	Traces               []string // its traceparent headers
	Status               any      // of HTTP or gRPC, as the metrics name it
	IsRefusal, IsFailure bool     // a failure is one that clients are not to blame for
	Began                time.Time
}

// Log writes lines about requests; a flood of refusals is thinned out, and how many are missing is said.
type Log struct {
	which  string
	thin   *rate.Limiter
	missed chan uint64 // holds how many lines were left out
}

// New makes a log of Refused, All or None.
func New(which string) *Log {
	l := &Log{which: which, thin: rate.NewLimiter(linesPerSecond, linesBurst), missed: make(chan uint64, 1)}
	l.missed <- 0
	return l
}

// Answered writes the request's line if it gets one.
func (l *Log) Answered(ctx context.Context, r Answered) {
	missed := uint64(0)
	switch {
	case l.which == All:
	case l.which == None, !r.IsRefusal:
		return
	default:
		before := <-l.missed
		if !l.thin.Allow() {
			l.missed <- before + 1
			return
		}
		l.missed <- 0
		missed = before
	}
	write(ctx, r, missed)
}

func write(ctx context.Context, r Answered, missed uint64) {
	line := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.Path[:min(len(r.Path), pathMost)]), slog.Any("status", r.Status),
		slog.String("client", r.Client), slog.String("request_id", r.ID), slog.Float64("ms", float64(time.Since(r.Began).Microseconds())/1000),
	}
	if from, ok := readTrace(r.Traces); ok {
		line = append(line, slog.String("trace_id", from.id), slog.String("parent_id", from.parent))
	}
	if missed > 0 {
		line = append(line, slog.Uint64("lines_left_out", missed))
	}
	level := slog.LevelInfo
	if r.IsFailure {
		level = slog.LevelWarn
	}
	slog.LogAttrs(context.WithoutCancel(ctx), level, "request answered", line...)
}

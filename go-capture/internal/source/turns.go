// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// tellAfter is how long one waits for others before that is told: those that start together wait a little.
const tellAfter = openLimit

var (
	errNoTurn = errors.New("other cameras or videos were being opened")
	errWaits  = errors.New("it waits for its turn: other cameras or videos are being opened")
)

// turns let one open after the other, in the order in which they came; nil lets all.
type turns chan struct{}

// ofFFmpeg are those of all streams that OpenCV opens through FFmpeg. It lets one in after the other itself, but who waits in there cannot
// be called back: the time to open would run out before it began, and what nobody wants any more would be opened all the same.
var ofFFmpeg = make(turns, 1)

// take waits for one's turn until ctx ends: whoever gave up and came again would be the last once more. When that takes long, waits is
// told why, and nil when it is over.
func (t turns) take(ctx context.Context, long time.Duration, waits func(error)) error {
	if t == nil {
		return nil
	}
	mine, timer := t.queue(ctx), time.NewTimer(long)
	defer timer.Stop()
	for {
		select {
		case <-mine:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w while %w", context.Cause(ctx), errNoTurn)
		case <-timer.C:
			if waits != nil {
				waits(errWaits)
				defer waits(nil)
			}
		}
	}
}

// queue gives what comes with one's turn. It stands there in a goroutine, for to look at something else meanwhile would cost the place.
func (t turns) queue(ctx context.Context) <-chan struct{} {
	mine := make(chan struct{})
	go func() {
		select {
		case t <- struct{}{}:
		case <-ctx.Done():
			return
		}
		select {
		case mine <- struct{}{}:
		case <-ctx.Done():
			t.give()
		}
	}()
	return mine
}

func (t turns) give() {
	if t != nil {
		<-t
	}
}

// tookTurn is why something did not open that others have waited for.
type tookTurn struct {
	error
	long time.Duration
}

func (t tookTurn) Unwrap() error { return t.error }

// TookTurn is for how long others had to wait for what failed so. It is to rest as long before it is tried again, or those that never open
// would have all the time.
func TookTurn(err error) time.Duration {
	var took tookTurn
	errors.As(err, &took)
	return took.long
}

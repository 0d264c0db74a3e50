// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// turnLimit is how long one waits for others. A camera of the fewest pictures a second takes nearly as long to open.
const turnLimit = time.Minute

var errNoTurn = errors.New("other cameras or videos were being opened")

// turns let one open after the other; nil lets all.
type turns chan struct{}

// ofFFmpeg are those of all streams that OpenCV opens through FFmpeg. It lets one in after the other itself, but who waits in there cannot
// be called back: the time to open would run out before it began, and what nobody wants any more would be opened all the same.
var ofFFmpeg = make(turns, 1)

// take waits for one's turn.
func (t turns) take(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, turnLimit, errNotOpened)
	defer cancel()
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w while %w", context.Cause(ctx), errNoTurn)
	}
}

func (t turns) give() {
	if t != nil {
		<-t
	}
}

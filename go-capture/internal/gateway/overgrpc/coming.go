// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"context"
	"slices"
	"sync"

	"visavis/capture/internal/gateway"
)

// messagesMost come at once: each takes some 35 KiB for its call, beside its own bytes, however slowly these come.
const messagesMost = 256

// coming are the messages that come now, of each caller the oldest first. Where there are as many as may be, one of the caller that has
// the most gives way: while fewer than that many others send nothing, whoever has few is let in.
type coming struct {
	most int
	mu   sync.Mutex
	all  int
	of   map[gateway.Caller][]*arrival
}

// arrival is one message that comes.
type arrival struct {
	from  gateway.Caller
	evict context.CancelCauseFunc
}

func newComing(most int) *coming { return &coming{most: most, of: map[gateway.Caller][]*arrival{}} }

// enter lets a message in. Its context ends when it has to give way; leave must follow.
func (c *coming) enter(ctx context.Context, from gateway.Caller) (within context.Context, leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from = from.Holder()
	if c.all >= c.most && !c.makeRoom(from) {
		return nil, nil, gateway.TooManyComing()
	}
	within, evict := context.WithCancelCause(ctx)
	one := &arrival{from, evict}
	c.of[from] = append(c.of[from], one)
	c.all++
	return within, func() { c.leave(one) }, nil
}

// makeRoom ends a message of the caller that has the most, unless the new one would then have as many.
func (c *coming) makeRoom(who gateway.Caller) bool {
	var busiest gateway.Caller
	for caller, theirs := range c.of {
		if len(theirs) > len(c.of[busiest]) {
			busiest = caller
		}
	}
	if len(c.of[busiest]) <= len(c.of[who])+1 {
		return false
	}
	oldest := c.of[busiest][0]
	c.remove(oldest)
	oldest.evict(gateway.TooManyComing())
	return true
}

func (c *coming) leave(one *arrival) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(one)
	one.evict(nil)
}

// remove does nothing for one that has given way.
func (c *coming) remove(one *arrival) {
	theirs := c.of[one.from]
	at := slices.Index(theirs, one)
	if at < 0 {
		return
	}
	c.all--
	if c.of[one.from] = slices.Delete(theirs, at, at+1); len(theirs) == 1 {
		delete(c.of, one.from)
	}
}

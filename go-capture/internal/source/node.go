// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"fmt"
	"sync"
	"syscall"
)

// taken are the device nodes that cameras of this daemon have.
var taken = nodes{of: map[uint64]string{}}

// nodes has the address of a camera by the number of its device node. A driver would only say that the node is busy.
type nodes struct {
	mu sync.Mutex
	of map[uint64]string
}

// claim takes a node for the camera, or says which one has it by another of its names. Where a link leads is known only when the camera
// is opened, and may be another node after the next start: so it costs the second camera, and no more. Of a node that is not there, the
// opening tells.
func (n *nodes) claim(path, camera string) (release func(), err error) {
	var node syscall.Stat_t
	if err := syscall.Stat(path, &node); err != nil {
		return func() {}, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if first, has := n.of[node.Rdev]; has {
		return nil, fmt.Errorf("%s is the device of %s as well now, and only one can have it: name another one, by /dev/v4l/by-path if two cameras share a serial number",
			camera, first)
	}
	n.of[node.Rdev] = camera
	return sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.of, node.Rdev)
	}), nil
}

// claimed is a camera that has its node until it is closed.
type claimed struct {
	Source
	release func()
}

func claiming(open opener) opener {
	return func(ctx context.Context, s Settings, path string) (Source, error) {
		release, err := taken.claim(path, s.URI)
		if err != nil {
			return nil, err
		}
		opened, err := open(ctx, s, path)
		if err != nil {
			release()
			return nil, err
		}
		return &claimed{Source: opened, release: release}, nil
	}
}

func (c *claimed) Close() error {
	defer c.release()
	return c.Source.Close()
}

// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"os"
	"time"
)

// plugLook is how often somebody looks whether a camera was plugged in: one system call each.
const plugLook = 100 * time.Millisecond

// AwaitPlug waits until the camera's device node, which was not there, is there; false when ctx ends before. Sources without a node
// only wait for ctx.
func AwaitPlug(ctx context.Context, uri string) bool {
	path, hasNode := nodeOf(uri)
	if !hasNode {
		<-ctx.Done()
		return false
	}
	looks := time.NewTicker(plugLook)
	defer looks.Stop()
	for away := false; ; {
		select {
		case <-ctx.Done():
			return false
		case <-looks.C:
		}
		_, err := os.Stat(path)
		if away && err == nil {
			return true
		}
		away = away || err != nil
	}
}

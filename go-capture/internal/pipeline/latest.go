// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"visavis/capture/internal/aside"
	"visavis/capture/internal/state"
)

// latestFile is written by whatever updates the device, the daemon itself looks nowhere.
const latestFile = "latest-version"

var versionForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+~-]{0,63}$`)

// latestLook is how soon another version is told.
const latestLook = time.Second

// latest is what latestVersion said last. Who tells it on does not wait for a disk.
type latest struct{ version atomic.Pointer[string] }

func (l *latest) now() string {
	if version := l.version.Load(); version != nil {
		return *version
	}
	return ""
}

func (l *latest) look() {
	version := latestVersion()
	l.version.Store(&version)
}

// begin has it looked at before anybody is told: brokers would be told that there is none, and a moment later that there is.
func (l *latest) begin(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookMost)
	defer cancel()
	aside.Within(ctx, 0, l.look)
}

// watch looks again and again until ctx ends.
func (l *latest) watch(ctx context.Context) error {
	aside.Within(ctx, lookMost, func() {
		looks := time.NewTicker(latestLook)
		defer looks.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-looks.C:
				l.look()
			}
		}
	})
	return nil
}

// latestVersion is the newest version that the device could have; "" when nobody has written down a sound one.
func latestVersion() string {
	folder, err := state.Folder()
	if err != nil {
		return ""
	}
	file, err := os.Open(filepath.Join(folder, latestFile))
	if err != nil {
		return ""
	}
	defer file.Close() // read only
	text, err := io.ReadAll(io.LimitReader(file, 80))
	if version := strings.TrimSpace(string(text)); err == nil && versionForm.MatchString(version) {
		return version
	}
	return ""
}

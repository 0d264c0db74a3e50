// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"visavis/capture/internal/state"
)

// latestFile is written by whatever updates the device, the daemon itself looks nowhere.
const latestFile = "latest-version"

var versionForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+~-]{0,63}$`)

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

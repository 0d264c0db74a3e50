// SPDX-License-Identifier: Apache-2.0

// Package thermal reads how hot the device is, and decides how much of their time workers may work.
package thermal

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Folder is where Linux shows its thermal zones.
const Folder = "/sys/class/thermal"

// neverMeasured is a zone of Jetsons that says 100 °C always.
const neverMeasured = "PMIC-Die"

// mostC is more than any chip outlives: what reads more does not measure.
const mostC = 150

// mostBytes is more than a type or a temperature has.
const mostBytes = 128

// Zones are the thermal zones below a folder.
type Zones struct {
	Folder string
	Types  []string // that count; all of them if empty
}

// HottestC reads the hottest zone in °C; nil where none can be read, as in most virtual machines.
func (z Zones) HottestC() *float64 {
	folders, err := filepath.Glob(filepath.Join(z.Folder, "thermal_zone*"))
	if err != nil {
		return nil // only a folder with a [ in its name
	}
	var hottest *float64
	for _, folder := range folders {
		if !z.counts(folder) {
			continue
		}
		if celsius, ok := readC(filepath.Join(folder, "temp")); ok && (hottest == nil || celsius > *hottest) {
			hottest = &celsius
		}
	}
	return hottest
}

func (z Zones) counts(folder string) bool {
	kind, ok := readOnce(filepath.Join(folder, "type"))
	if len(z.Types) == 0 {
		return !ok || kind != neverMeasured
	}
	return ok && slices.Contains(z.Types, kind)
}

// readC reads one zone; one that is switched off answers with an error.
func readC(path string) (celsius float64, ok bool) {
	text, ok := readOnce(path)
	if !ok {
		return 0, false
	}
	thousandths, err := strconv.ParseInt(text, 10, 64)
	celsius = float64(thousandths) / 1000
	return celsius, err == nil && celsius <= mostC
}

// readOnce reads a line of the kernel's without os.ReadFile: a Jetson's zone without power answers EAGAIN, after which Go
// waits until there is something to read, and nothing ever says so.
func readOnce(path string) (line string, ok bool) {
	file, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(file) // read only
	text := make([]byte, mostBytes)
	count, err := unix.Read(file, text)
	if err != nil {
		return "", false
	}
	return strings.TrimSpace(string(text[:count])), true
}

// SPDX-License-Identifier: Apache-2.0

// Package thermal reads how hot the device is, and decides how much of their time workers may work.
package thermal

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Folder is where Linux shows its thermal zones.
const Folder = "/sys/class/thermal"

// neverMeasured is a zone of Jetsons that says 100 °C always.
const neverMeasured = "PMIC-Die"

// mostC is more than any chip outlives: what reads more does not measure.
const mostC = 150

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
	text, err := os.ReadFile(filepath.Join(folder, "type"))
	kind := strings.TrimSpace(string(text))
	if len(z.Types) == 0 {
		return err != nil || kind != neverMeasured
	}
	return err == nil && slices.Contains(z.Types, kind)
}

// readC reads one zone; one that is switched off answers with an error.
func readC(path string) (celsius float64, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	thousandths, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	celsius = float64(thousandths) / 1000
	return celsius, err == nil && celsius <= mostC
}

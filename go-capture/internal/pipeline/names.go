// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"visavis/capture/internal/config"
)

// machineName is what the machine is called in its network, which device.id need not be; "" where that is of no use to others.
var machineName = func() string {
	name, err := os.Hostname()
	if err != nil || inContainer() {
		return ""
	}
	return name
}

// servable are names that a certificate can hold.
var servable = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// inContainer tells whether Docker or Podman started us: a container's name is made up anew each time and known to nobody outside. It is
// looked up once, for the broker's session asks each second.
var inContainer = sync.OnceValue(func() bool {
	return slices.ContainsFunc([]string{"/.dockerenv", "/run/.containerenv"}, func(mark string) bool {
		_, err := os.Stat(mark)
		return err == nil
	})
})

// hostNames are the machine's full name and its first part, which Avahi announces with .local behind it; none where it has no name.
func hostNames() (full, first string) {
	full = strings.ToLower(machineName())
	first, _, _ = strings.Cut(full, ".")
	if first == "localhost" || !servable.MatchString(full) || !servable.MatchString(first) {
		return "", ""
	}
	return full, first
}

// pageNames are those by which the page may be asked, beside its addresses: the device's, the machine's and the configured ones.
func pageNames(c *config.Config) []string {
	names := append([]string{c.Device.ID, c.Device.ID + ".local", "localhost"}, c.Web.Hosts...)
	if full, first := hostNames(); full != "" {
		names = append(names, full, first, first+".local")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

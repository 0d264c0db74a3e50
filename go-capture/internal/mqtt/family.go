// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"visavis/capture/internal/state"
)

// family are the memories of all forms that one broker is told in.
type family []*memory

// families are those of the sections, in the order of the settings.
func (b *Brokers) families() []family {
	var all []family
	add := func(m *memory) {
		if i := slices.IndexFunc(all, func(f family) bool { return f[0].section == m.section }); i >= 0 {
			all[i] = append(all[i], m)
			return
		}
		all = append(all, family{m})
	}
	for _, p := range b.all {
		add(p.memory)
	}
	for _, f := range b.forms {
		add(f.retaining())
	}
	return all
}

// remember gives each its file, and to them what this device has left in others. All is read before anything is written: the files may
// hold topics of each other.
func (f family) remember(base, configuration string) {
	for _, m := range f {
		f.take(m.open(filepath.Join(base, "topics", m.name+".json"), configuration), m)
	}
	for _, path := range f.others(base) {
		f.inherit(path)
	}
}

// take gives each topic to the form that says something on that level now, else to the reader: no form clears what another one says.
func (f family) take(read announcedFile, reader *memory) {
	for _, m := range f {
		m.take(read.only(func(topic string) bool { return f.whose(topic, reader) == m }))
	}
}

func (f family) whose(topic string, reader *memory) *memory {
	level, _, _ := strings.Cut(topic, "/")
	for _, m := range f {
		if slices.Contains(m.levels, level) {
			return m
		}
	}
	return reader
}

// inherit takes over a file of a form that is not told any more, or of a device that this one was, as its configuration says, and removes
// it once ours hold all.
func (f family) inherit(path string) {
	read, _, err := readAnnounced(path)
	if err != nil {
		return
	}
	if device, _ := ownerOf(strings.TrimSuffix(filepath.Base(path), ".json")); device != f[0].device {
		if read.Configuration != f[0].configuration || read.Configuration == "" {
			return
		}
		read.Components = nil // of another device in Home Assistant, whose topic is cleared
	}
	f.take(read, f[0])
	for _, m := range f {
		if !m.keeper.Write() {
			return // told by the keeper; the next start tries again
		}
	}
	slog.Info("device.id or mqtt.formats was another one: what stands retained of that is cleared", "file", path)
	if err := os.Remove(path); err != nil {
		slog.Warn("a file of topics stays that is not needed", "error", err)
	}
}

// others are the files of this section that nobody has: of forms that are not told now, and of devices that do not run.
func (f family) others(base string) []string {
	entries, err := os.ReadDir(filepath.Join(base, "topics"))
	if err != nil {
		return nil // none yet, or a disk that the own file will complain of
	}
	var found []string
	for _, entry := range entries {
		if name, isTopics := strings.CutSuffix(entry.Name(), ".json"); isTopics && f.leftOver(base, name) {
			found = append(found, filepath.Join(base, "topics", entry.Name()))
		}
	}
	return found
}

func (f family) leftOver(base, name string) bool {
	device, section := ownerOf(name)
	switch {
	case section != f[0].section || slices.ContainsFunc(f, func(m *memory) bool { return m.name == name }):
		return false
	case device == f[0].device:
		return true
	}
	return !state.Held(filepath.Join(base, "outbox", name)) && !state.Held(filepath.Join(base, "outbox", device+section))
}

// ownerOf reads from a file's name whose it is. No device has a dot in its name.
func ownerOf(name string) (device, section string) {
	device, rest, _ := strings.Cut(name, ".")
	for _, part := range strings.Split(rest, ".") {
		if part != "" && !slices.ContainsFunc(dialects, func(d namedDialect) bool { return d.name == part }) {
			section += "." + part
		}
	}
	return device, section
}

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
	for _, one := range b.all {
		m := one.retaining()
		if i := slices.IndexFunc(all, func(f family) bool { return f[0].section == m.section }); i >= 0 {
			all[i] = append(all[i], m)
			continue
		}
		all = append(all, family{m})
	}
	return all
}

// remember gives each form its file, and each broker what this device has left there, in whichever section and form that was. All own files
// are read before anything is written: they may hold topics of each other.
func remember(all []family, base, configuration string) {
	for _, f := range all {
		for _, m := range f {
			f.take(m.open(filepath.Join(base, "topics", m.name+".json"), configuration), m)
		}
	}
	inheritAll(all, base)
	for _, f := range all {
		for _, from := range all {
			f.takeOver(from)
		}
	}
}

// takeOver takes what another section remembers of this broker, as brokers may change places. There it is forgotten once it is kept here.
func (f family) takeOver(from family) {
	here := func(at announcedAt) bool { return at.isAt(f[0].broker) }
	taken := false
	for _, m := range from {
		for _, at := range m.elsewhere {
			if here(at) {
				f.take(announcedFile{announcedAt: at}, f[0])
				taken = true
			}
		}
	}
	if !taken || !f.kept() {
		return
	}
	for _, m := range from {
		m.elsewhere = slices.DeleteFunc(m.elsewhere, here)
	}
}

// kept tells whether the files hold all that is remembered. Where not, the keepers tell, and the next start tries again.
func (f family) kept() bool {
	return !slices.ContainsFunc(f, func(m *memory) bool { return !m.keeper.Write() })
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

// inheritAll takes over the files that nobody has.
func inheritAll(all []family, base string) {
	entries, err := os.ReadDir(filepath.Join(base, "topics"))
	if err != nil || len(all) == 0 {
		return // none yet, or a disk that the own files complain of
	}
	for _, entry := range entries {
		name, isTopics := strings.CutSuffix(entry.Name(), ".json")
		if f := heir(all, name); isTopics && f.leftOver(base, name) {
			f.inherit(filepath.Join(base, "topics", entry.Name()))
		}
	}
}

// heir is the family of a file's section, or the first where that section is no more.
func heir(all []family, name string) family {
	_, section := ownerOf(name)
	return all[max(0, slices.IndexFunc(all, func(f family) bool { return f[0].section == section }))]
}

// inherit takes over a file of a form or section that is not told any more, or of a device that this one was, as its configuration says,
// and removes it once ours hold all.
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
	if !f.kept() {
		return
	}
	slog.Info("device.id, the forms or the sections of the brokers were others: what stands retained of that is cleared where a broker is still used",
		"file", path)
	if err := os.Remove(path); err != nil {
		slog.Warn("a file of topics stays that is not needed", "error", err)
	}
}

// leftOver tells that nobody has a file: it is of a form or section that is not told now, or of a device that does not run and was this one.
func (f family) leftOver(base, name string) bool {
	device, section := ownerOf(name)
	switch {
	case slices.ContainsFunc(f, func(m *memory) bool { return m.name == name }):
		return false
	case device == f[0].device && section == f[0].section:
		return true
	}
	another, err := state.IsAnother(base, f[0].configuration, device, f[0].device)
	if err != nil || another { // who starts is told what is wrong with that file where the rest of it follows
		return false
	}
	return !state.Held(filepath.Join(base, "outbox", name)) && !state.Held(filepath.Join(base, "outbox", device+section))
}

// ownerOf reads from a file's name whose it is. No device has a dot in its name.
func ownerOf(name string) (device, section string) {
	device, rest, _ := strings.Cut(name, ".")
	for _, part := range strings.Split(rest, ".") {
		if part != "" && !slices.ContainsFunc(otherForms, func(f namedForm) bool { return f.name == part }) {
			section += "." + part
		}
	}
	return device, section
}

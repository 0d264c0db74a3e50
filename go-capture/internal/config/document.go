// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const fileBytesMost = 1 << 20

// origin says where a value was written.
type origin struct {
	environment string // "environment VISAVIS_…" or "flag …"
	file        string
	path        string // inside the file
	lines       lineTable
}

// line is that of the value, or of what holds it.
func (o origin) line() int {
	for path := o.path; path != ""; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		if line, known := o.lines[path]; known {
			return line
		}
	}
	return 0
}

// setting is one value as it was written.
type setting struct {
	key    string // the name that a person would use: camera[0].fps
	value  any
	origin origin
}

// table is one TOML table: its settings and where it begins.
type table struct {
	setting
	settings map[string]setting
}

// document is the configuration before it is checked: what all layers say together.
type document struct {
	problems *Problems
	file     string
	sections map[string]table
	cameras  []table
	saysNone bool // a file has camera = []
}

func newDocument(problems *Problems) *document {
	return &document{problems: problems, sections: map[string]table{}}
}

// readFiles lays the file and then conf.d/*.toml over each other.
func (d *document) readFiles(path string) {
	if path == "" {
		return
	}
	d.file = path
	d.readFile(path)
	folder := filepath.Join(filepath.Dir(path), "conf.d")
	entries, err := os.ReadDir(folder) // in the order of names
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.unread(folder, err, "let the user that runs visavis read the folder")
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".toml") && !strings.HasPrefix(entry.Name(), ".") { // as editors call what they have open
			d.readFile(filepath.Join(folder, entry.Name()))
		}
	}
}

func (d *document) refuse(file string, line int, reason, remedy string) {
	*d.problems = append(*d.problems, Problem{File: file, Line: line, Reason: reason, Remedy: remedy})
}

func (d *document) unread(path string, err error, remedy string) {
	*d.problems = append(*d.problems, Problem{File: path, Reason: fmt.Sprintf("cannot be read: %v", cause(err)), Remedy: remedy, MayPass: mayPass(err)})
}

func (d *document) readFile(path string) {
	text, err := readBounded(path)
	if err != nil {
		d.unread(path, err, "name a file that exists and that the user that runs visavis may read")
		return
	}
	text = bytes.TrimPrefix(text, byteOrderMark)
	values, line, bad := decode(text)
	if bad != nil {
		d.refuse(path, line, bad.reason, bad.remedy)
		return
	}
	lines := linesOf(text)
	for _, name := range sortedKeys(values) {
		d.section(name, setting{key: name, value: values[name], origin: origin{file: path, path: under("", name), lines: lines}})
	}
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read: nothing can be lost
	text, err := io.ReadAll(io.LimitReader(file, fileBytesMost+1))
	if err == nil && len(text) > fileBytesMost {
		err = fmt.Errorf("it is larger than %d bytes", fileBytesMost)
	}
	return text, err
}

// cause leaves out the path that os puts into its errors, because it already stands before.
func cause(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// section lays one top-level entry of a file over what is there.
func (d *document) section(name string, s setting) {
	_, known := sectionKeys[name]
	values, isTable := s.value.(map[string]any)
	switch {
	case name == "camera":
		d.addCameras(s)
	case !known:
		d.problems.add(s, "unknown section", "the sections are "+strings.Join(sectionNames(), ", "))
	case !isTable:
		d.problems.add(s, "must be a table", "write ["+name+"] and its keys below")
	default:
		merged, begun := d.sections[name]
		if !begun {
			merged = table{setting: s, settings: map[string]setting{}}
		}
		maps.Copy(merged.settings, s.entries(values))
		d.sections[name] = merged
	}
}

func (d *document) addCameras(s setting) {
	list, isList := s.value.([]any)
	if !isList {
		d.problems.add(s, "must be an array of tables", "write [[camera]] with two brackets")
		return
	}
	d.saysNone = d.saysNone || len(list) == 0
	for index, value := range list {
		camera := setting{value: value, key: element("camera", len(d.cameras)), origin: s.origin}
		camera.origin.path = element(s.origin.path, index)
		if made, ok := d.problems.table(camera); ok {
			d.cameras = append(d.cameras, made)
		}
	}
}

const ofDemo = "default"

// addDemo gives a configuration that says nothing of cameras one that needs nothing: smaller than the default of a camera, because
// a slow board has to draw it.
func (d *document) addDemo() {
	if len(d.cameras) > 0 || d.saysNone {
		return
	}
	values := map[string]any{"id": "demo", "source": "demo:", "size": []any{int64(640), int64(480)}}
	demo := setting{key: "camera[0]", value: values, origin: origin{file: ofDemo}}
	d.cameras = []table{{setting: demo, settings: demo.entries(values)}}
}

// entries are the settings inside a table.
func (s setting) entries(values map[string]any) map[string]setting {
	made := make(map[string]setting, len(values))
	for name, value := range values {
		inner := setting{key: under(s.key, name), value: value, origin: s.origin}
		inner.origin.path = under(s.origin.path, name)
		made[name] = inner
	}
	return made
}

// at is the element of an array.
func (s setting) at(index int, value any) setting {
	inner := setting{key: element(s.key, index), value: value, origin: s.origin}
	inner.origin.path = element(s.origin.path, index)
	return inner
}

func (p *Problems) add(s setting, reason, remedy string) {
	*p = append(*p, Problem{
		File: s.origin.file, Line: s.origin.line(), Environment: s.origin.environment, Key: s.key, Reason: reason, Remedy: remedy,
	})
}

// table opens a value that must be a table.
func (p *Problems) table(s setting) (table, bool) {
	values, ok := s.value.(map[string]any)
	if !ok {
		p.add(s, "must be a table, not "+written(s.value), "see docs/reference/config.md")
		return table{}, false
	}
	return table{setting: s, settings: s.entries(values)}, true
}

func sectionNames() []string {
	names := append(slices.Collect(maps.Keys(sectionKeys)), "camera")
	slices.Sort(names)
	return names
}

func sortedKeys[V any](from map[string]V) []string { return slices.Sorted(maps.Keys(from)) }

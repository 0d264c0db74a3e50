// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

const environmentPrefix = "VISAVIS_"

// assignment is one setting of the environment or of a flag.
type assignment struct {
	path        []string // section and key, or camera, index and key
	text, label string
}

// override lays the environment and then the flags over the files.
func (d *document) override(env []string, flags map[string]string) {
	for _, layer := range [][]assignment{ofEnvironment(env), ofFlags(flags)} {
		slices.SortFunc(layer, inOrder)
		for _, one := range layer {
			d.overrideOne(one.path, one.text, one.label)
		}
	}
}

// ofEnvironment leaves out variables without a double underscore, such as VISAVIS_CACHE_DIR: they are no settings.
func ofEnvironment(env []string) (all []assignment) {
	for _, entry := range env {
		name, text, _ := strings.Cut(entry, "=")
		path, ours := strings.CutPrefix(name, environmentPrefix)
		if ours && strings.Contains(path, "__") {
			all = append(all, assignment{strings.Split(strings.ToLower(path), "__"), text, "environment " + name})
		}
	}
	return all
}

func ofFlags(flags map[string]string) (all []assignment) {
	for name, text := range flags {
		all = append(all, assignment{strings.Split(name, "."), text, "flag " + name})
	}
	return all
}

// inOrder has cameras in the order of their indices, because only the next one can be added.
func inOrder(a, b assignment) int {
	return cmp.Or(cmp.Compare(a.camera(), b.camera()), cmp.Compare(a.label, b.label), cmp.Compare(a.text, b.text))
}

// camera is the index of a camera, -1 for other settings.
func (a assignment) camera() int {
	if len(a.path) < 3 || a.path[0] != "camera" {
		return -1
	}
	number, err := strconv.Atoi(a.path[1])
	if err != nil {
		return -1 // overrideCamera refuses it
	}
	return number
}

func (d *document) overrideOne(path []string, text, label string) {
	s := setting{key: strings.Join(path, "."), value: text, origin: origin{environment: label}}
	switch {
	case len(path) == 3 && path[0] == "camera":
		d.overrideCamera(path[1], path[2], s)
	case len(path) == 2 && sectionKeys[path[0]] != nil:
		d.overrideSection(path[0], path[1], s)
	default:
		d.problems.add(s, "no such setting", "write VISAVIS_SECTION__KEY or VISAVIS_CAMERA__0__KEY with a section and key of docs/reference/config.md")
	}
}

func (d *document) overrideSection(section, name string, s setting) {
	held, begun := d.sections[section]
	if !begun {
		held = table{setting: setting{key: section, origin: s.origin}, settings: map[string]setting{}}
		d.sections[section] = held
	}
	if value, ok := typed(d.problems, s, ruleOf(sectionKeys[section], name)); ok {
		s.value = value
		held.settings[name] = s
	}
}

// overrideCamera changes the camera at an index, or adds one when the index is the next.
func (d *document) overrideCamera(index, name string, s setting) {
	number, err := strconv.Atoi(index)
	if err != nil || number < 0 || number > len(d.cameras) {
		d.problems.add(s, "no camera has the index "+index, "the first camera is 0, and there are "+strconv.Itoa(len(d.cameras)))
		return
	}
	s.key = under(element("camera", number), name)
	value, ok := typed(d.problems, s, ruleOf(cameraKeys, name))
	if !ok {
		return
	}
	s.value = value
	if number == len(d.cameras) {
		added := setting{key: element("camera", number), origin: s.origin}
		d.cameras = append(d.cameras, table{setting: added, settings: map[string]setting{}})
	}
	held := d.cameras[number].settings
	held[name] = s
	source, _ := value.(string)
	if name == "source" && held["size"].origin.file == ofDemo && !strings.HasPrefix(source, "demo:") {
		delete(held, "size") // that was for the demo
	}
}

// ruleOf finds the rule of a key; a key that is not known counts as a string, the reader refuses it later.
func ruleOf[T any](keys []key[T], name string) rule {
	for _, k := range keys {
		if k.name == name {
			return k.rule
		}
	}
	return rule{kind: kindString}
}

// typed turns the text of a variable into a value: strings stand as they are, everything else is written as in TOML.
func typed(problems *Problems, s setting, r rule) (any, bool) {
	text := s.value.(string)
	if r.kind == kindString {
		return text, true
	}
	var held map[string]any
	if err := toml.Unmarshal([]byte("value = "+text), &held); err != nil || len(held) != 1 {
		problems.add(s, strconv.Quote(text)+" is not "+r.kind.words(), "write it as in TOML, such as "+r.kind.sample())
		return nil, false
	}
	return held["value"], true
}

// SPDX-License-Identifier: Apache-2.0

package config

import (
	"path/filepath"
	"slices"
	"strings"

	"visavis/capture/internal/zone"
)

// reader fills structs from tables and notes everything that is wrong on the way.
type reader struct {
	problems *Problems
	set      map[string]setting // by key: where each value that is not a default was written
	file     string             // blamed for what stands nowhere
	secrets  string             // the folder of systemd's credentials; "" outside systemd
	blind    bool               // it may not look into the files that settings name
	unasked  bool               // nor ask for credentials
	starts   bool               // files that settings name may be missing for now
}

// config fills the whole configuration.
func (r *reader) config(d *document) *Config {
	made := defaults()
	r.file = d.file
	for _, name := range sortedKeys(d.sections) {
		fill(r, &made, d.sections[name], sectionKeys[name])
	}
	if auth := d.sections["auth"]; auth.origin.file != "" {
		_, said := auth.settings["enabled"]
		made.Auth.Enabled = made.Auth.Enabled || !said // whoever writes the section wants logins
	}
	made.Cameras = make([]Camera, len(d.cameras))
	for i, held := range d.cameras {
		made.Cameras[i] = defaultCamera()
		fill(r, &made.Cameras[i], held, cameraKeys)
	}
	return &made
}

// fill checks each setting of a table and puts it into its field; unknown and missing keys are problems.
func fill[T any](r *reader, into *T, from table, keys []key[T]) {
	known := map[string]key[T]{}
	for _, k := range keys {
		known[k.name] = k
		if _, given := from.settings[k.name]; k.required && !given {
			missing := from.setting
			missing.key = under(from.key, k.name)
			r.problems.add(missing, "is missing", "add "+k.name+" = "+k.kind.sample())
		}
	}
	for _, name := range sortedKeys(from.settings) {
		s := from.settings[name]
		r.set[s.key] = s
		k, ok := known[name]
		if !ok {
			r.problems.add(s, "unknown key", "the keys here are "+strings.Join(names(keys), ", "))
			continue
		}
		if value, ok := r.value(s, k.rule); ok {
			k.set(into, value)
		}
	}
}

func names[T any](keys []key[T]) []string {
	made := make([]string, len(keys))
	for i, k := range keys {
		made[i] = k.name
	}
	return made
}

// value checks one setting against its rule and returns it in the type of its field.
func (r *reader) value(s setting, k rule) (any, bool) {
	if !k.kind.isList() {
		value, bad := r.single(s, k)
		return value, r.report(s, bad)
	}
	list, given := s.value.([]any)
	if !given {
		return nil, r.report(s, k.wrongKind(s.value))
	}
	return r.list(s, list, k)
}

// single checks what is no list. A refusal never repeats what may be a secret.
func (r *reader) single(s setting, k rule) (any, *refusal) {
	held, bad := r.credential(s, k)
	if bad != nil {
		return nil, bad
	}
	value, bad := r.scalar(held, k)
	if k.secret && (bad != nil || r.starts || r.ownSecret(s)) && !namesFile(s, k) {
		return nil, refuse(secretRemedy, secretReason)
	}
	return value, bad
}

func (r *reader) scalar(s setting, k rule) (any, *refusal) {
	value := resolved(s, k)
	if k.format == "readable_file" && (r.blind || r.starts || isCredential(value)) {
		k.format = ""
	}
	return k.scalar(value)
}

func (r *reader) list(s setting, list []any, k rule) (any, bool) {
	switch k.kind {
	case kindStrings:
		return collect[string](r, s, list, k)
	case kindSize:
		return r.size(s, list, k)
	case kindPoint:
		return r.point(s, list, k)
	case kindPolygon:
		return r.polygon(s, list, k)
	case kindPolygons:
		return r.polygons(s, list, k)
	case kindZones:
		return tables(r, s, list, defaultZone, zoneKeys)
	default:
		return tables(r, s, list, defaultLine, lineKeys)
	}
}

// report notes a refusal; true when there is none.
func (r *reader) report(s setting, bad *refusal) bool {
	if bad != nil {
		r.problems.add(s, bad.reason, bad.remedy)
	}
	return bad == nil
}

func collect[V any](r *reader, s setting, list []any, k rule) ([]V, bool) {
	made, good := make([]V, 0, len(list)), true
	for i, one := range list {
		value, bad := k.scalar(one)
		if !r.report(s.at(i, one), bad) {
			good = false
			continue
		}
		made = append(made, value.(V))
	}
	return made, good
}

func (r *reader) size(s setting, list []any, k rule) (any, bool) {
	if len(list) != 2 {
		return nil, r.report(s, refuse("write for example [640, 480]", "must be width and height, not %d values", len(list)))
	}
	numbers, good := collect[int](r, s, list, k)
	if !good {
		return nil, false
	}
	return [2]int{numbers[0], numbers[1]}, true
}

func (r *reader) point(s setting, list []any, k rule) (any, bool) {
	if len(list) != 2 {
		return nil, r.report(s, refuse("write for example [0.1, 0.2]", "must be a point [x, y]"))
	}
	numbers, good := collect[float64](r, s, list, k)
	if !good {
		return nil, false
	}
	return [2]float64{numbers[0], numbers[1]}, true
}

func (r *reader) polygon(s setting, list []any, k rule) (any, bool) {
	made, good := make([][2]float64, 0, len(list)), true
	for i, one := range list {
		corner, _ := one.([]any) // what is no list is no point either
		point, ok := r.point(s.at(i, one), corner, k)
		if !ok {
			good = false
			continue
		}
		made = append(made, point.([2]float64))
	}
	if good {
		good = r.report(s, flaw("move the corners", zone.PolygonOf(made).Flaw()))
	}
	return made, good
}

// flaw is the refusal of a shape that cannot be used; nil when nothing is wrong with it.
func flaw(remedy, reason string) *refusal {
	if reason == "" {
		return nil
	}
	return &refusal{reason: reason, remedy: remedy}
}

func (r *reader) polygons(s setting, list []any, k rule) (any, bool) {
	made, good := make([][][2]float64, 0, len(list)), true
	for i, one := range list {
		corners, isList := one.([]any)
		if !isList {
			good = r.report(s.at(i, one), rule{kind: kindPolygon}.wrongKind(one))
			continue
		}
		polygon, ok := r.polygon(s.at(i, one), corners, k)
		good = good && ok
		made = append(made, polygon.([][2]float64))
	}
	return made, good
}

func tables[T any](r *reader, s setting, list []any, fresh func() T, keys []key[T]) (any, bool) {
	made := make([]T, 0, len(list))
	for i, one := range list {
		if held, ok := r.problems.table(s.at(i, one)); ok {
			filled := fresh()
			fill(r, &filled, held, keys)
			made = append(made, filled)
		}
	}
	return made, true
}

// resolved sees relative paths in a file from the folder of that file; those of the environment from the working directory.
func resolved(s setting, k rule) any {
	text, isText := s.value.(string)
	if !isText || text == "" || s.origin.lines == nil || strings.HasPrefix(text, credentialPrefix) {
		return s.value
	}
	folder := filepath.Dir(s.origin.file)
	switch {
	case k.format == "source" && strings.HasPrefix(text, string(SchemeFile)+":"):
		path := strings.TrimPrefix(text, string(SchemeFile)+":")
		if path != "" && !filepath.IsAbs(path) {
			return string(SchemeFile) + ":" + filepath.Join(folder, path)
		}
	case slices.Contains([]string{"readable_file", "socket", "path"}, k.format) && !filepath.IsAbs(text):
		return filepath.Join(folder, text)
	}
	return text
}

// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	namesFile          = "devices.json"
	leftFile           = "left.json" // devices whose things could not follow
	namesBytes         = 1 << 20
	configurationsMost = 256 // that are remembered; more come only from whoever makes a new file for each start
)

// kinds are the folders in which each device has a file or a folder called by its name, which may have an ending behind a dot. Every
// device has a history, which moves last: so a move that was cut off goes on.
var kinds = []string{"thumbnails", "outbox", orders, "sessions", "certificates", history}

const (
	history = "history"
	orders  = "orders"
)

// Follow lets what a device keeps below a folder follow it to another name, by the configuration that names it. Otherwise events that
// wait would never be sent, and pictures never grow too old. What belongs to a daemon that runs stays until a start after its end, and
// nothing is mixed with what is there under the new name. Whoever starts was left behind by nobody. Call it before anything in the folder
// is used.
func Follow(folder, configuration, device string) error {
	path := filepath.Join(folder, namesFile)
	names, damage := readNames(path)
	damage = errors.Join(damage, unlist(filepath.Join(folder, leftFile), device))
	before := names[configuration]
	if before == device {
		return damage
	}
	done, err := comeAlong(folder, configuration, before, device)
	if err == nil {
		err = leaveAbsent(folder, configuration, device)
	}
	if err != nil {
		return fmt.Errorf("not all that was kept under another device.id than %q follows or ages: %w", device, err)
	}
	if !done {
		return damage
	}
	names[configuration] = device
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return errors.Join(damage, Replace(path, append(text, '\n')))
}

// comeAlong tells whether there is nothing left to do at the next start.
func comeAlong(folder, configuration, from, to string) (done bool, err error) {
	groups, err := readGroups(folder)
	group := groups[configuration]
	isOld, isNew := slices.Contains(group, from), slices.Contains(group, to)
	switch {
	case err != nil || from == "":
		return err == nil, err
	case isRunning(folder, from):
		return false, nil
	case isOld && isNew:
		slog.Info("another device of this configuration ran last: what it has kept stays for it; if it is no more, remove what is called so below the folder", "device", from, "folder", folder)
		return true, nil
	case isOld:
		return true, nil // leaveAbsent tells
	case isNew || isTaken(filepath.Join(folder, history, to)):
		slog.Warn("device.id was another one: what was kept stays where it is until it is too old, for there is something under the new name", "from", from, "to", to)
		err = list(filepath.Join(folder, leftFile), from)
		if !isNew { // faces that somebody has ordered to hide stay hidden, unless something else was ordered under the new name
			err = errors.Join(err, moveAll(folder, []string{orders}, from, to))
		}
		return true, err
	}
	slog.Info("device.id was another one: what was kept follows", "from", from, "to", to)
	return true, moveAll(folder, kinds, from, to)
}

// isTaken tells whether there is more than what a start has left that failed: an empty folder.
func isTaken(path string) bool {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	return err != nil || len(entries) > 0 || Held(path)
}

// LeftBehind are the devices whose things could not follow, of which this kind is still there. Whoever goes by the name of one again has
// them; of other devices nobody here can know whether they come back.
func LeftBehind(folder, kind, device string) (devices []string) {
	names, err := readNames(filepath.Join(folder, namesFile))
	left, damage := readList(filepath.Join(folder, leftFile))
	if errors.Join(err, damage) != nil {
		return nil // nobody knows whose they are
	}
	named := append(slices.Collect(maps.Values(names)), device)
	return slices.DeleteFunc(left, func(one string) bool {
		return slices.Contains(named, one) || !exists(filepath.Join(folder, kind, one))
	})
}

// list adds devices to those that a file names.
func list(path string, devices ...string) error {
	listed, err := readList(path)
	if err != nil {
		return err
	}
	return replaceList(path, listed, with(listed, devices))
}

// with are these and those, each once.
func with(these, those []string) []string {
	all := slices.Clone(these)
	for _, one := range those {
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// unlist takes devices from those that a file names.
func unlist(path string, devices ...string) error {
	listed, err := readList(path)
	if err != nil {
		return err
	}
	return replaceList(path, listed, slices.DeleteFunc(slices.Clone(listed), func(one string) bool { return slices.Contains(devices, one) }))
}

func replaceList(path string, before, devices []string) error {
	if slices.Equal(before, devices) {
		return nil
	}
	text, err := json.Marshal(devices)
	if err != nil {
		return err
	}
	return Replace(path, append(text, '\n'))
}

func readList(path string) ([]string, error) { return readAs[[]string](path) }

// readAs is what a file holds; nothing where there is none.
func readAs[Kept any](path string) (kept Kept, err error) {
	text, err := Read(path, namesBytes)
	if err == nil && text != nil {
		err = json.Unmarshal(text, &kept)
	}
	return kept, err
}

// readNames are the devices by their configurations; none where the file cannot be used.
func readNames(path string) (map[string]string, error) {
	names, err := readAs[map[string]string](path)
	if err != nil {
		return map[string]string{}, fmt.Errorf("what was kept under another device.id stays where it is: %s: %w", path, err)
	}
	if names == nil || len(names) >= configurationsMost {
		return map[string]string{}, nil
	}
	return names, nil
}

func moveAll(folder string, kinds []string, from, to string) (failed error) {
	for _, kind := range kinds {
		entries, err := os.ReadDir(filepath.Join(folder, kind))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
		for _, entry := range entries {
			name, ending, dotted := strings.Cut(entry.Name(), ".")
			if name != from {
				continue
			}
			if dotted {
				ending = "." + ending
			}
			failed = errors.Join(failed, move(filepath.Join(folder, kind, entry.Name()), filepath.Join(folder, kind, to+ending)))
		}
	}
	return failed
}

// move leaves what would replace something; an empty folder is nothing.
func move(from, to string) error {
	_ = unix.Rmdir(to) // of anything else it fails
	if exists(to) {
		return nil
	}
	return os.Rename(from, to)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

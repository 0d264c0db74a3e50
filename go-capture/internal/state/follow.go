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
	leftFile           = "left.json"   // devices whose things could not follow
	besideFile         = "beside.json" // devices that ran at the same time as another one of their configuration
	namesBytes         = 1 << 20
	configurationsMost = 256 // that are remembered; more come only from whoever makes a new file for each start
)

// kinds are the folders in which each device has a file or a folder called by its name, which may have an ending behind a dot. Every
// device has a history, which moves last: so a move that was cut off goes on.
var kinds = []string{"thumbnails", "outbox", "orders", "sessions", "certificates", history}

const history = "history"

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
	if before != "" {
		done, err := comeAlong(folder, before, device)
		if err != nil {
			return fmt.Errorf("not all that was kept under device.id = %q follows: %w", before, err)
		}
		if !done {
			return nil
		}
	}
	names[configuration] = device
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return errors.Join(damage, Replace(path, append(text, '\n')))
}

// comeAlong tells whether there is nothing left to do at the next start.
func comeAlong(folder, from, to string) (done bool, err error) {
	beside, err := readList(filepath.Join(folder, besideFile))
	switch {
	case err != nil:
		return false, err
	case Held(filepath.Join(folder, history, from)):
		return false, nil
	case slices.Contains(beside, from) || slices.Contains(beside, to):
		return true, nil // another device, not another name
	case isTaken(filepath.Join(folder, history, to)):
		slog.Warn("device.id was another one: what was kept stays where it is until it is too old, for there is something under the new name", "from", from, "to", to)
		return true, list(filepath.Join(folder, leftFile), from)
	}
	slog.Info("device.id was another one: what was kept follows", "from", from, "to", to)
	return true, moveAll(folder, from, to)
}

// NoteBeside remembers for good that a device runs beside another one of the same configuration, whose id comes from the environment: then
// neither is the other's earlier name. Call it once the device runs: a start beside it that fails is no device.
func NoteBeside(folder, configuration, device string) error {
	names, err := readNames(filepath.Join(folder, namesFile))
	other := names[configuration]
	if err != nil || other == "" || other == device || !Held(filepath.Join(folder, history, other)) {
		return err
	}
	return list(filepath.Join(folder, besideFile), other, device)
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
	beside, doubt := readList(filepath.Join(folder, besideFile))
	if errors.Join(err, damage, doubt) != nil {
		return nil // nobody knows whose they are
	}
	named := append(slices.AppendSeq(beside, maps.Values(names)), device)
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
	all := slices.Clone(listed)
	for _, device := range devices {
		if !slices.Contains(all, device) {
			all = append(all, device)
		}
	}
	return replaceList(path, listed, all)
}

// unlist takes a device from those that a file names.
func unlist(path, device string) error {
	listed, err := readList(path)
	if err != nil {
		return err
	}
	return replaceList(path, listed, slices.DeleteFunc(slices.Clone(listed), func(one string) bool { return one == device }))
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

func readList(path string) (devices []string, err error) {
	text, err := Read(path, namesBytes)
	if err == nil && text != nil {
		err = json.Unmarshal(text, &devices)
	}
	return devices, err
}

// readNames are the devices by their configurations; none where the file cannot be used.
func readNames(path string) (map[string]string, error) {
	text, err := Read(path, namesBytes)
	names := map[string]string{}
	if err == nil && text != nil {
		err = json.Unmarshal(text, &names)
	}
	if err != nil {
		return map[string]string{}, fmt.Errorf("what was kept under another device.id stays where it is: %s: %w", path, err)
	}
	if len(names) >= configurationsMost {
		clear(names)
	}
	return names, nil
}

func moveAll(folder, from, to string) (failed error) {
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

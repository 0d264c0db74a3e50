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
var kinds = []string{"thumbnails", "outbox", "orders", "sessions", "certificates", history}

const history = "history"

// Follow lets what a device keeps below a folder follow it to another name, by the configuration that names it. Otherwise events that
// wait would never be sent, and pictures never grow too old. What belongs to a daemon that runs stays until a start after its end, and
// nothing is mixed with what is there under the new name. Call it before anything in the folder is used.
func Follow(folder, configuration, device string) error {
	path := filepath.Join(folder, namesFile)
	names, damage := readNames(path)
	before := names[configuration]
	if before == device {
		return nil
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
	switch {
	case isTaken(filepath.Join(folder, history, to)):
		slog.Warn("device.id was another one: what was kept stays where it is until it is too old, for there is something under the new name", "from", from, "to", to)
		return true, noteLeft(folder, from)
	case Held(filepath.Join(folder, history, from)):
		return false, nil
	}
	slog.Info("device.id was another one: what was kept follows", "from", from, "to", to)
	return true, moveAll(folder, from, to)
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
	left, damage := readLeft(filepath.Join(folder, leftFile))
	if err != nil || damage != nil {
		return nil // nobody knows whose they are
	}
	named := append(slices.Collect(maps.Values(names)), device)
	return slices.DeleteFunc(left, func(one string) bool {
		return slices.Contains(named, one) || !exists(filepath.Join(folder, kind, one))
	})
}

func noteLeft(folder, device string) error {
	path := filepath.Join(folder, leftFile)
	left, err := readLeft(path)
	if err != nil || slices.Contains(left, device) {
		return err
	}
	text, err := json.Marshal(append(left, device))
	if err != nil {
		return err
	}
	return Replace(path, append(text, '\n'))
}

func readLeft(path string) (devices []string, err error) {
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

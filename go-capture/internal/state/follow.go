// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

const (
	namesFile          = "devices.json"
	namesBytes         = 1 << 20
	configurationsMost = 256 // that are remembered; more come only from whoever makes a new file for each start
)

// kinds are the folders in which each device has a file or a folder called by its name, which may have an ending behind a dot. Every
// device has a history, which moves last: so a move that was cut off goes on.
var kinds = []string{"thumbnails", "outbox", "orders", "sessions", "certificates", history}

const history = "history"

// Follow lets what a device keeps below a folder follow it to another name, by the configuration that names it. Otherwise events that
// wait would never be sent, and pictures never grow too old. What belongs to a daemon that runs stays, and nothing is mixed with what is
// there under the new name. Call it before anything in the folder is used.
func Follow(folder, configuration, device string) error {
	path := filepath.Join(folder, namesFile)
	names, damage := readNames(path)
	before := names[configuration]
	if before == device {
		return nil
	}
	if before != "" {
		if err := comeAlong(folder, before, device); err != nil {
			return fmt.Errorf("not all that was kept under device.id = %q follows: %w", before, err)
		}
	}
	names[configuration] = device
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return errors.Join(damage, Replace(path, append(text, '\n')))
}

func comeAlong(folder, from, to string) error {
	switch {
	case Held(filepath.Join(folder, history, from)):
		return nil
	case exists(filepath.Join(folder, history, to)):
		slog.Warn("device.id was another one: what was kept stays where it is, for there is something under the new name", "from", from, "to", to)
		return nil
	}
	slog.Info("device.id was another one: what was kept follows", "from", from, "to", to)
	return moveAll(folder, from, to)
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

// move leaves what would replace something.
func move(from, to string) error {
	if exists(to) {
		return nil
	}
	return os.Rename(from, to)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

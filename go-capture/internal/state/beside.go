// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
)

// besideFile holds by configuration the devices that ran at the same time, told apart by their environments.
const besideFile = "beside.json"

// IsAnother tells that two devices of a configuration are known to run beside each other: then neither is the other's earlier name. The
// configuration is the file that names them.
func IsAnother(folder, configuration, from, to string) (bool, error) {
	groups, err := readGroups(folder)
	group := groups[configuration]
	return slices.Contains(group, from) && slices.Contains(group, to), err
}

// NoteBeside remembers which devices of the same configuration run beside this one: none of them was left behind. Call it once the device
// has run for a while: one that is given another name may run under both for a moment.
func NoteBeside(folder, configuration, device string) error {
	names, err := readNames(filepath.Join(folder, namesFile))
	groups, damage := readGroups(folder)
	if err := errors.Join(err, damage); err != nil {
		return err
	}
	known := append(slices.Clone(groups[configuration]), names[configuration])
	running := slices.DeleteFunc(known, func(one string) bool { return one == "" || one == device || !isRunning(folder, one) })
	if len(running) == 0 {
		return nil
	}
	running = append(running, device)
	return errors.Join(unlist(filepath.Join(folder, leftFile), running...), regroup(folder, groups, configuration, with(groups[configuration], running)))
}

// leaveAbsent takes those out of a group that do not run when a new device comes, and lists them as left: it may be the new name of one of
// them, and nobody knows of which. Whoever starts again is left no more.
func leaveAbsent(folder, configuration, device string) error {
	groups, err := readGroups(folder)
	var running, absent []string
	for _, one := range groups[configuration] {
		if isRunning(folder, one) {
			running = append(running, one)
		} else {
			absent = append(absent, one)
		}
	}
	if err != nil || len(absent) == 0 || slices.Contains(groups[configuration], device) {
		return err
	}
	slog.Warn("device.id is a new one of a configuration that several devices share: what those have kept that do not run stays where it is until it is too old, or they start again",
		"devices", absent, "new", device)
	if err := list(filepath.Join(folder, leftFile), absent...); err != nil {
		return err
	}
	return regroup(folder, groups, configuration, running)
}

func isRunning(folder, device string) bool { return Held(filepath.Join(folder, history, device)) }

// regroup writes the devices of one configuration anew.
func regroup(folder string, groups map[string][]string, configuration string, group []string) error {
	if slices.Equal(groups[configuration], group) {
		return nil
	}
	groups[configuration] = group
	if len(group) == 0 {
		delete(groups, configuration)
	}
	text, err := json.Marshal(groups)
	if err != nil {
		return err
	}
	return Replace(filepath.Join(folder, besideFile), append(text, '\n'))
}

func readGroups(folder string) (map[string][]string, error) {
	path := filepath.Join(folder, besideFile)
	groups, err := readAs[map[string][]string](path)
	if err != nil {
		return nil, fmt.Errorf("nobody knows which devices share a configuration; if this is damaged, remove %s: %w", path, err)
	}
	if groups == nil || len(groups) >= configurationsMost {
		return map[string][]string{}, nil
	}
	return groups, nil
}

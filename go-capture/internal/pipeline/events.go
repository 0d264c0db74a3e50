// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/outbox"
)

const (
	systemState = "/var/lib/visavis"
	// closeLimit is how long the end waits for a disk that hangs.
	closeLimit = 3 * time.Second
)

// stateFolder is where the device keeps what must outlive it: $VISAVIS_STATE_DIR, systemd's, the system's if it may be
// written, else the user's.
func stateFolder() (string, error) {
	for _, variable := range []string{"VISAVIS_STATE_DIR", "STATE_DIRECTORY"} {
		if named := os.Getenv(variable); named != "" {
			return named, nil
		}
	}
	if unix.Access(systemState, unix.W_OK) == nil {
		return systemState, nil
	}
	if home := os.Getenv("XDG_STATE_HOME"); home != "" {
		return filepath.Join(home, "visavis"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no folder for events: set VISAVIS_STATE_DIR: %w", err)
	}
	return filepath.Join(home, ".local", "state", "visavis"), nil
}

// keepEvents gives the publisher its outbox and returns what closes it. Each device has a folder of its own.
func (a *Appliance) keepEvents() (closeEvents func() error, err error) {
	state, err := stateFolder()
	if err != nil {
		return nil, err
	}
	events, err := outbox.Open(outbox.Settings{Folder: filepath.Join(state, "outbox", a.config.Device.ID)})
	if err != nil {
		return nil, fmt.Errorf("%w: another daemon may use the same device.id; set VISAVIS_STATE_DIR for one of them", err)
	}
	a.mqtt.EventsFrom(events)
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
		defer cancel()
		return events.Close(ctx)
	}, nil
}

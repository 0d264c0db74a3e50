// SPDX-License-Identifier: Apache-2.0

// Package systemd is what the daemon says to systemd and takes from it. Where no systemd started us, each function does nothing.
package systemd

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// Listener returns the listening socket that systemd opened under that FileDescriptorName; nil when there is none. Such a socket
// outlives the daemon: who connects while it is away waits instead of failing.
func Listener(name string) (*net.UnixListener, error) {
	named, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("take the sockets of systemd: %w", err)
	}
	if len(named[name]) == 0 {
		return nil, nil
	}
	unix, fits := named[name][0].(*net.UnixListener)
	if !fits || unix.Addr().Network() != "unixpacket" {
		return nil, fmt.Errorf("the socket %q of systemd is not a ListenSequentialPacket: see visavis-frames.socket", name)
	}
	return unix, nil
}

// RuntimeFolder is where the daemon keeps what holds until it is stopped, also while it is started again: nobody but root and the daemon
// may enter it. "" where no systemd started us.
func RuntimeFolder() string { return os.Getenv("RUNTIME_DIRECTORY") }

// Ready says that the daemon serves.
func Ready() error { return tell(daemon.SdNotifyReady) }

// Stopping says that the daemon was told to end.
func Stopping() error { return tell(daemon.SdNotifyStopping) }

// Status is the line that `systemctl status` shows.
func Status(words string) error {
	return tell("STATUS=" + strings.ReplaceAll(words, "\n", " "))
}

// Alive is the sign of life that the watchdog waits for.
func Alive() error { return tell(daemon.SdNotifyWatchdog) }

// WatchdogPeriod is how often Alive must come: half of what the unit allows; 0 without a watchdog.
func WatchdogPeriod() (time.Duration, error) {
	allowed, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0, fmt.Errorf("read WATCHDOG_USEC: %w", err)
	}
	return allowed / 2, nil
}

func tell(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("tell systemd %s: %w", state, err)
	}
	return nil
}

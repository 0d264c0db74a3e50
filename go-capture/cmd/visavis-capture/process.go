// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/config"
	"visavis/capture/internal/pipeline"
)

// garbagePercent is how much the heap may grow before it is collected. A daemon holds a few megabytes, so with Go's default of
// 100 a flood of small requests collects all the time: twice of that takes an eighth less processor time, for 4 MB.
const garbagePercent = 200

// collectLess leaves the choice to whoever set GOGC.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}

// leaveNoCore keeps the memory of a crash, which holds pictures, off the disk; prlimit can allow it again.
func leaveNoCore() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("look at the limit for core files: %w", err)
	}
	limit.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	return nil
}

// followParent asks the kernel for SIGTERM when the starter dies, so that a killed `visavis run` leaves nothing behind.
func followParent() error {
	parent := os.Getppid()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0); err != nil {
		return fmt.Errorf("ask for a signal at the parent's death: %w", err)
	}
	if os.Getppid() != parent {
		return errors.New("the process that started this one is gone")
	}
	return nil
}

// reloadOn applies the configuration again at each SIGHUP; a bad one changes nothing.
func reloadOn(ctx context.Context, hangups <-chan os.Signal, load func() (*config.Config, error), appliance *pipeline.Appliance) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			settings, err := load()
			if err != nil {
				slog.Error("reload refused, everything goes on as before", "error", err)
				continue
			}
			appliance.Reload(ctx, settings)
		}
	}
}

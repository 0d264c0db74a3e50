// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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

// dumpFilter says which kinds of memory a crash writes out, see core(5). A kernel that writes out no crashes does not have it.
const dumpFilter = "/proc/self/coredump_filter"

// leaveNoCore keeps the memory of a crash, which holds pictures, off the disk. The limit is for files; a program that the kernel pipes
// crashes to, as Ubuntu's apport, is not held back by it, so no kind of memory is written out either. From outside both can be set
// otherwise: prlimit, /proc/PID.
func leaveNoCore() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("look at the limit for core files: %w", err)
	}
	limit.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	filter, err := os.OpenFile(dumpFilter, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = filter.WriteString("0")
		err = errors.Join(err, filter.Close())
	}
	if err != nil {
		return fmt.Errorf("keep memory out of what a crash writes: %w", err)
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
				appliance.Refused(err)
				continue
			}
			appliance.Reload(ctx, settings)
		}
	}
}

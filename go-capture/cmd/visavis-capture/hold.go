// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"visavis/capture/internal/systemd"
)

const (
	failuresFile = "failures"
	mostFailures = 5 // counted
	wellAfter    = time.Minute
	pauseMost    = 29 * time.Second // and RestartSec
	aliveEvery   = 5 * time.Second  // for the watchdog of a daemon that was ready
)

// holdBack waits before this process ends, for it is started again a second later, and each time is seven lines in the journal: not
// after the first failure, and then ever longer. Who was well for a while begins anew. Where no systemd started us it does nothing.
func holdBack(folder string, ran time.Duration, sleep func(time.Duration)) error {
	if folder == "" {
		return nil
	}
	failures, err := oneMore(filepath.Join(folder, failuresFile), ran >= wellAfter)
	pause := min(time.Duration(1<<failures-1)*time.Second, pauseMost)
	if err != nil || pause == 0 {
		return err
	}
	err = systemd.Status(fmt.Sprintf("failed %d times in a row, see the journal; the next try comes after %v", failures+1, pause))
	for ; pause > 0; pause -= aliveEvery {
		err = errors.Join(err, systemd.Alive())
		sleep(min(pause, aliveEvery))
	}
	return err
}

// oneMore counts a failure and returns how many came before.
func oneMore(file string, anew bool) (failures int, err error) {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("read how often the daemon has failed: %w", err)
	}
	if !anew {
		failures, _ = strconv.Atoi(strings.TrimSpace(string(text))) // what is no number is none
		failures = min(max(failures, 0), mostFailures)
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(failures+1)), 0o600); err != nil {
		return 0, fmt.Errorf("remember how often the daemon has failed: %w", err)
	}
	return failures, nil
}

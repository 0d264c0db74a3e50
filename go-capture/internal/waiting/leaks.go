// SPDX-License-Identifier: Apache-2.0

package waiting

import (
	"time"

	"go.uber.org/goleak"
)

// ForGoroutines runs the tests of a package, and fails them if a goroutine is left over. goleak alone waits less than half a second for
// those that are just ending, which a busy machine easily takes.
func ForGoroutines(m goleak.TestingM, options ...goleak.Option) {
	goleak.VerifyTestMain(ending{m}, options...)
}

// ending are tests that are over once their goroutines are, too.
type ending struct{ goleak.TestingM }

func (e ending) Run() int {
	code := e.TestingM.Run()
	for end := time.Now().Add(Most); code == 0 && time.Now().Before(end); {
		if goleak.Find() == nil { // it looks for a while itself
			break
		}
	}
	return code
}

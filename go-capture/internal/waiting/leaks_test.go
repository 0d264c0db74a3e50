// SPDX-License-Identifier: Apache-2.0

package waiting

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// tests are those of a package.
type tests func() int

func (t tests) Run() int { return t() }

func TestAGoroutineThatEndsLateIsNoLeak(t *testing.T) {
	left := goleak.IgnoreCurrent()
	code := ending{tests(func() int {
		go time.Sleep(time.Second)
		return 0
	})}.Run()
	if err := goleak.Find(left); code != 0 || err != nil {
		t.Errorf("code %d: %v", code, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"net"
	"testing"
)

func TestPortsAreFreeBelowTheKernelsAndNeverTheSameTwice(t *testing.T) {
	first := Free(t)
	next := *first
	next.Port++
	taken, err := net.ListenTCP("tcp", &next)
	if err == nil { // else somebody else has it
		defer taken.Close()
	}
	seen := map[int]bool{first.Port: true, next.Port: true}
	for range 100 {
		port := Free(t).Port
		if seen[port] || port >= kernels(t) {
			t.Fatalf("%d of %v, the kernel's begin at %d", port, seen, kernels(t))
		}
		seen[port] = true
	}
}

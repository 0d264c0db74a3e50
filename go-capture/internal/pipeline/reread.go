// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"log/slog"

	"visavis/capture/internal/config"
	"visavis/capture/internal/state"
)

// reread looks at the configuration as it lies there now. Whoever spoils it may never reload, or not see that a reload was refused, and
// months later a power cut would end the device for good.
type reread struct {
	load  func() (*config.Config, error) // nil: never
	fault *state.Fault
}

func newReread(file string) reread {
	fault := state.NewFault(slog.String("file", file), "the configuration is refused as it is now, and with it the next start or reload",
		"the configuration is good again")
	return reread{fault: fault}
}

// RereadWith sets how the configuration is read. Call it before Run.
func (a *Appliance) RereadWith(load func() (*config.Config, error)) { a.reread.load = load }

// Refused is told why a reload was.
func (a *Appliance) Refused(err error) { a.reread.fault.Note(err) }

func (r *reread) look() {
	if r.load == nil {
		return
	}
	_, err := r.load()
	r.fault.Note(err)
}

// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"time"

	"visavis/capture/internal/aside"
	"visavis/capture/internal/web"
)

// partsLook is how often certificates, the clock and the configuration are looked at: often beside the time for which any certificate is valid.
const partsLook = time.Minute

// parts are what works beside cameras, workers and brokers. The log tells of a fault when it begins; here it is told for as long as it
// lasts.
func (a *Appliance) parts() []web.Part {
	parts := []web.Part{{Name: "history", Error: a.history.Fault()}, {Name: "orders", Error: a.board.Fault()},
		{Name: "clock", Error: a.clock.Fault()}, {Name: "configuration", Error: a.reread.fault.Now()}}
	if a.album != nil {
		parts = append(parts, web.Part{Name: "pictures of events", Error: a.album.Fault()})
	}
	if a.gate != nil {
		parts = append(parts, web.Part{Name: "logins", Error: a.gate.Fault()})
	}
	if a.certificate != nil {
		parts = append(parts, web.Part{Name: "certificate of the page", Error: a.certificate.Fault()})
	}
	if a.mqtt != nil {
		for _, one := range a.mqtt.Faults() {
			parts = append(parts, web.Part{Name: one.Part, Error: one.Error})
		}
	}
	return parts
}

// lookMost is how long a look that is under way is waited for when the daemon ends: a disk may hang.
const lookMost = 250 * time.Millisecond

// watchParts looks at what does not tell by itself that it is wrong, until ctx ends: beside everything else.
func (a *Appliance) watchParts(ctx context.Context) error {
	aside.Within(ctx, lookMost, func() { a.lookAtParts(ctx) })
	return nil
}

func (a *Appliance) lookAtParts(ctx context.Context) {
	looks := time.NewTicker(partsLook)
	defer looks.Stop()
	for {
		a.clock.Look(time.Now())
		a.reread.look()
		if a.certificate != nil {
			a.certificate.Look()
		}
		if a.mqtt != nil {
			a.mqtt.LookAtCertificates(time.Now())
		}
		select {
		case <-ctx.Done():
			return
		case <-looks.C:
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"log/slog"
	"time"

	"visavis/capture/internal/certificate"
	"visavis/capture/internal/state"
)

// Fault is what works beside a connection, and what is wrong with it; "" when all is well.
type Fault struct{ Part, Error string }

// Faults are those of all brokers, also of parts that are well.
func (b *Brokers) Faults() []Fault {
	var all []Fault
	for _, p := range b.all {
		all = append(all, p.faults(p.memory)...)
	}
	for _, f := range b.forms {
		all = append(all, f.faults(f.retaining())...)
	}
	return all
}

// faults are those of a link whose retained topics are in a memory.
func (l *link) faults(topics *memory) (all []Fault) {
	if l.events != nil {
		all = append(all, Fault{"outbox of " + l.name, l.events.Fault()})
	}
	if len(topics.levels) > 0 {
		all = append(all, Fault{"pictures of " + l.name, topics.pictures.Now()})
	}
	if topics.keeper != nil {
		all = append(all, Fault{"topics of " + l.name, topics.keeper.Fault()})
	}
	if l.settings.Cert != "" {
		all = append(all, Fault{"certificate of " + l.name, l.ends.Now()})
	}
	return all
}

func faultOfCertificate(s Settings) *state.Fault {
	return state.NewFault(slog.String("file", s.Cert), s.named("the certificate of mqtt.cert needs a hand"), s.named("the certificate of mqtt.cert is in order again"))
}

// LookAtCertificates notes which client certificates nobody has renewed in time. A connection that holds asks for none before it ends,
// and then it is too late.
func (b *Brokers) LookAtCertificates(now time.Time) {
	for _, p := range b.all {
		p.lookAtCertificate(now)
	}
	for _, f := range b.forms {
		f.lookAtCertificate(now)
	}
}

func (l *link) lookAtCertificate(now time.Time) {
	if l.settings.Cert != "" {
		l.ends.Note(endingOf(l.settings.Cert, now))
	}
}

func endingOf(file string, now time.Time) error {
	held, err := certificate.FirstIn(file)
	if err != nil {
		return err
	}
	return certificate.Ending(held, now)
}

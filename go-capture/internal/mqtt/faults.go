// SPDX-License-Identifier: Apache-2.0

package mqtt

// Fault is what works beside a connection, and what is wrong with it; "" when all is well.
type Fault struct{ Part, Error string }

// Faults are those of all brokers, also of parts that are well.
func (b *Brokers) Faults() []Fault {
	var all []Fault
	for _, f := range b.all {
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
		all = append(all, Fault{"large messages of " + l.name, topics.pictures.Now()})
	}
	if topics.keeper != nil {
		all = append(all, Fault{"topics of " + l.name, topics.keeper.Fault()})
	}
	if l.hasCertificates() {
		all = append(all, Fault{"certificate of " + l.name, l.trust.Now()})
	}
	return all
}

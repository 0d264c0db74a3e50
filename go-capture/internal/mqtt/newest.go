// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"slices"
	"sync"
)

// newest keeps the last payload of each topic until it is sent, and to send it again with the next connection.
type newest struct {
	mu       sync.Mutex
	payloads map[string]string
	order    []string // of their first mention
	due      map[string]bool
}

func newNewest() *newest { return &newest{payloads: map[string]string{}, due: map[string]bool{}} }

func (n *newest) set(topic, payload string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before, known := n.payloads[topic]
	if !known {
		n.order = append(n.order, topic)
	}
	n.payloads[topic] = payload
	n.due[topic] = n.due[topic] || !known || before != payload
}

// forget takes topics out that are no longer sent.
func (n *newest) forget(gone func(topic string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.order = slices.DeleteFunc(n.order, func(topic string) bool {
		if !gone(topic) {
			return false
		}
		delete(n.payloads, topic)
		delete(n.due, topic)
		return true
	})
}

// again makes everything due.
func (n *newest) again() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for topic := range n.payloads {
		n.due[topic] = true
	}
}

// next takes a payload that is due.
func (n *newest) next() (topic, payload string, found bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, topic := range n.order {
		if n.due[topic] {
			n.due[topic] = false
			return topic, n.payloads[topic], true
		}
	}
	return "", "", false
}

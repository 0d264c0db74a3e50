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
	stays    func(topic string) bool // nil: all do
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

// keep forgets the topics that do not stay. What comes of them later is sent once.
func (n *newest) keep(stays func(topic string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stays = stays
	n.order = slices.DeleteFunc(n.order, func(topic string) bool {
		if stays(topic) {
			return false
		}
		n.drop(topic)
		return true
	})
}

func (n *newest) drop(topic string) {
	delete(n.payloads, topic)
	delete(n.due, topic)
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
	at := slices.IndexFunc(n.order, func(topic string) bool { return n.due[topic] })
	if at < 0 {
		return "", "", false
	}
	topic = n.order[at]
	payload, n.due[topic] = n.payloads[topic], false
	if n.stays != nil && !n.stays(topic) {
		n.order = slices.Delete(n.order, at, at+1)
		n.drop(topic)
	}
	return topic, payload, true
}

// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// states are the retained topics, of which only the last payload counts. A topic that is no longer wanted says its last words and
// is then cleared with an empty payload, which makes a broker forget it.
type states struct {
	mu       sync.Mutex
	topics   map[string]*retained
	order    []string            // topics in the order of their first mention
	recalled map[string]struct{} // of an earlier process, until it is known what is wanted
	wanted   map[string]struct{} // nil: all
	changed  chan struct{}       // for who remembers the topics
}

type retained struct {
	payload string
	dirty   bool
	leaving bool
}

func newStates() *states {
	return &states{topics: map[string]*retained{}, recalled: map[string]struct{}{}, changed: make(chan struct{}, 1)}
}

// set keeps a payload; ifNew leaves one that was set before. A topic that is not wanted stays away.
func (s *states) set(topic, payload string, ifNew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wants(topic) {
		return
	}
	one, known := s.topics[topic]
	switch {
	case !known:
		s.add(topic, &retained{payload: payload, dirty: true})
	case one.leaving:
		*one = retained{payload: payload, dirty: true}
	case !ifNew && one.payload != payload:
		one.payload, one.dirty = payload, true
	}
}

func (s *states) wants(topic string) bool {
	_, wanted := s.wanted[topic]
	return wanted || s.wanted == nil
}

func (s *states) add(topic string, r *retained) {
	s.topics[topic] = r
	s.order = append(s.order, topic)
	nudge(s.changed)
}

// recall takes the topics that an earlier process announced.
func (s *states) recall(topics []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, topic := range topics {
		s.recalled[topic] = struct{}{}
	}
}

// want says which topics there are from now on. All others that may stand retained are cleared.
func (s *states) want(topics []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = map[string]struct{}{}
	for _, topic := range topics {
		s.wanted[topic] = struct{}{}
	}
	for topic, one := range s.topics {
		if !s.wants(topic) && !one.leaving {
			*one = leaving(topic)
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(s.recalled)) {
		if _, known := s.topics[topic]; !known && !s.wants(topic) {
			gone := leaving(topic)
			s.add(topic, &gone)
		}
	}
	clear(s.recalled)
	nudge(s.changed)
}

// lastWords are what a topic says before it is cleared, by its last level: who listens now hears that, not only the next who comes.
var lastWords = map[string]string{"status": "offline", "faces": "0", "occupied": "OFF"}

func leaving(topic string) retained {
	return retained{payload: lastWords[topic[strings.LastIndex(topic, "/")+1:]], dirty: true, leaving: true}
}

// next takes a state that the broker does not know yet; "" clears its topic.
func (s *states) next() (topic, payload string, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, topic := range s.order {
		one := s.topics[topic]
		if !one.dirty {
			continue
		}
		said := one.payload
		one.dirty = one.leaving && said != ""
		if one.leaving {
			one.payload = ""
		}
		return topic, said, true
	}
	return "", "", false
}

// cleared forgets a topic that the broker has forgotten, unless somebody has set it again.
func (s *states) cleared(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, known := s.topics[topic]
	if !known || !one.leaving || one.dirty {
		return
	}
	delete(s.topics, topic)
	s.order = slices.DeleteFunc(s.order, func(other string) bool { return other == topic })
	nudge(s.changed)
}

// connected makes every state due again, for the broker may have forgotten all of them.
func (s *states) connected(open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.topics {
		one.dirty = one.dirty || open
	}
}

// announced are the topics that may stand retained at the broker.
func (s *states) announced() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(s.recalled)
	for topic := range s.topics {
		all[topic] = struct{}{}
	}
	return slices.Sorted(maps.Keys(all))
}

// nudge wakes whoever waits, now or the next time.
func nudge(who chan struct{}) {
	select {
	case who <- struct{}{}:
	default:
	}
}

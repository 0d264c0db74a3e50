// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// states are the retained topics, of which only the last payload counts. A topic that is no longer wanted says its last words and
// is then cleared with an empty payload, which makes a broker forget it.
type states struct {
	mu       sync.Mutex
	topics   map[string]*retained
	order    []string            // topics in the order of their first mention
	recalled map[string]struct{} // of an earlier process, and nothing has been said there since
	wanted   map[string]struct{} // nil: all
	moving   []string            // what they announce to Home Assistant is told in the other form
	notice   func()              // for who remembers the topics; it never waits

	components map[string]string   // platforms of the entities that the message about the device has told of, by key
	plain      map[string]struct{} // topics where a picture that shows faces may stand
	sayings    uint64              // how many there were
	limit      pictureLimit

	pause     time.Duration // after migrate, for Home Assistant to let go of the entities
	heldUntil time.Time     // discovery, by that
	repeatAt  time.Time     // discovery, zero if not
}

const (
	migrationPause  = 3 * time.Second
	migrationRepeat = 10 * time.Second
)

type retained struct {
	payload string
	dirty   bool
	leaving bool
	plain   bool   // the payload is a picture that shows faces
	clear   uint64 // the empty payload that is on its way to the broker, 0 if none is
	then    *afterwards
}

// saying is a payload that the broker is told; "" clears its topic. Numbers tell those of one topic apart.
type saying struct {
	topic, payload string
	number         uint64
	large          bool // a picture that a broker may refuse
}

// afterwards is what a topic says once its payload was sent, and what has been told of when that was sent as well.
type afterwards struct {
	payload    string
	components map[string]string
}

func newStates() *states {
	return &states{topics: map[string]*retained{}, recalled: map[string]struct{}{}, plain: map[string]struct{}{}, notice: func() {}, pause: migrationPause}
}

// set keeps a payload; ifNew leaves one that was set before. A topic that is not wanted stays away.
func (s *states) set(topic, payload string, ifNew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wants(topic) {
		s.put(topic, payload, ifNew)
	}
}

func (s *states) put(topic, payload string, ifNew bool) {
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
	delete(s.recalled, topic)
	s.notice()
}

// recall takes what an earlier process announced.
func (s *states) recall(read announcedAt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, topic := range read.Topics {
		if _, known := s.topics[topic]; !known {
			s.recalled[topic] = struct{}{}
		}
	}
	for _, topic := range read.Plain {
		s.plain[topic] = struct{}{}
	}
	if read.Components != nil {
		s.components = read.Components
	}
}

// want says which topics there are from now on. All others that may stand retained are cleared, the moving ones after Home Assistant was
// told that what they announced is announced elsewhere.
func (s *states) want(topics []string, moving ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moving = moving
	s.wanted = map[string]struct{}{}
	for _, topic := range topics {
		s.wanted[topic] = struct{}{}
	}
	for topic, one := range s.topics {
		if !s.wants(topic) && !one.leaving {
			*one = s.leaving(topic)
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(s.recalled)) {
		if !s.wants(topic) {
			gone := s.leaving(topic)
			s.add(topic, &gone)
		}
	}
	s.notice()
}

// lastWords are what a topic says before it is cleared, by its last level: who listens now hears that, not only the next who comes.
var lastWords = map[string]string{"status": "offline", "available": "offline", "faces": "0", "occupied": "OFF"}

func (s *states) leaving(topic string) retained {
	words := lastWords[topic[strings.LastIndex(topic, "/")+1:]]
	if slices.Contains(s.moving, topic) {
		words = migrate
	}
	return retained{payload: words, dirty: true, leaving: true}
}

// next takes a state that the broker does not know yet. Last words go first, then topics are cleared: an entity that moves is let go of
// before it is told of elsewhere.
func (s *states) next() (now saying, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	topic := s.due()
	if topic == "" {
		return saying{}, false
	}
	s.sayings++
	now = saying{topic: topic, number: s.sayings}
	one := s.topics[topic]
	if !s.covers(topic, one) {
		now.payload = s.say(one)
	}
	if now.payload == "" {
		one.clear = now.number
	}
	now.large = s.limit.note(now)
	return now, true
}

// due is the topic whose turn it is, "" if all is said.
func (s *states) due() (topic string) {
	now := time.Now()
	best := telling + 1
	for _, one := range s.order {
		state := s.topics[one]
		if state.dirty && state.turn() < best && !s.waits(one, state, now) {
			topic, best = one, state.turn()
		}
	}
	return topic
}

func (s *states) waits(topic string, one *retained, now time.Time) bool {
	if isDiscovery(topic) {
		return one.turn() > leavetaking && now.Before(s.heldUntil)
	}
	return isPicture(topic) && !s.covers(topic, one) && s.limit.holds(len(one.payload), now)
}

// The turns of what is to be said.
const (
	leavetaking = iota
	clearing
	telling
)

func (r *retained) turn() int {
	switch {
	case !r.leaving:
		return telling
	case r.payload != "":
		return leavetaking
	}
	return clearing
}

// say takes the payload, and leaves what is to be said after it.
func (s *states) say(one *retained) (said string) {
	said, one.dirty = one.payload, false
	switch {
	case one.leaving && one.then != nil:
		one.payload, one.dirty, one.then = one.then.payload, true, nil
	case one.leaving:
		one.payload, one.dirty = "", said != ""
		if said == migrate {
			s.heldUntil = time.Now().Add(s.pause)
			s.repeatAt = s.heldUntil.Add(migrationRepeat)
		}
	case one.then != nil && one.payload != one.then.payload:
		one.payload, one.dirty = one.then.payload, true
	case one.then != nil:
		s.components, one.then = one.then.components, nil
		s.notice()
	}
	return said
}

// removed are the components that the message about the device has told of and that are not among these.
func (s *states) removed(now map[string]string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := map[string]string{}
	for key, platform := range s.components {
		if now[key] != platform {
			gone[key] = platform
		}
	}
	return gone
}

// setDevice keeps the message about the device, after one that removes what it has no more.
func (s *states) setDevice(topic, removing string, then afterwards) {
	s.set(topic, removing, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if one, known := s.topics[topic]; known {
		one.dirty = true
		one.then = &then
	}
	all := maps.Clone(then.components) // what is being removed is remembered until it is
	maps.Copy(all, s.components)
	s.components = all
	s.notice()
}

// removeFirst lets a topic that is about to move its entities remove some before.
func (s *states) removeFirst(topic, removing string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one, known := s.topics[topic]; known && one.leaving && one.payload == migrate && one.then == nil {
		one.payload, one.then = removing, &afterwards{payload: migrate}
	}
}

// repeats tells, once, that a move is long enough ago to tell everything again: a Home Assistant that was slower than the pause has
// missed some of it.
func (s *states) repeats() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := !s.repeatAt.IsZero() && time.Now().After(s.repeatAt)
	if due {
		s.repeatAt = time.Time{}
	}
	return due
}

// again makes topics due that Home Assistant may have missed.
func (s *states) again(which func(topic string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, one := range s.topics {
		one.dirty = one.dirty || which(topic)
	}
}

// cleared notes that the broker has forgotten a topic. We do so as well, unless somebody has set it again.
func (s *states) cleared(said saying) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, known := s.topics[said.topic]
	if !known || one.clear != said.number || one.leaving && one.dirty {
		return
	}
	one.clear = 0
	delete(s.plain, said.topic)
	if one.leaving {
		delete(s.topics, said.topic)
		s.order = slices.DeleteFunc(s.order, func(other string) bool { return other == said.topic })
	}
	s.notice()
}

// connected makes every state due again, for the broker may have forgotten all of them, or not have heard of one.
func (s *states) connected(open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !open {
		return
	}
	for _, one := range s.topics {
		one.dirty, one.clear = true, 0
	}
	s.limit.over(time.Now())
}

// announced is what may stand retained at the broker.
func (s *states) announced() announcedAt {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(s.recalled)
	for topic := range s.topics {
		all[topic] = struct{}{}
	}
	return announcedAt{Topics: slices.Sorted(maps.Keys(all)), Components: maps.Clone(s.components), Plain: slices.Sorted(maps.Keys(s.plain))}
}

// nudge wakes whoever waits, now or the next time.
func nudge(who chan struct{}) {
	select {
	case who <- struct{}{}:
	default:
	}
}

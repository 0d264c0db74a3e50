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
	held     map[string]string   // topics that may be another device's, with where that says it is there: see others.go
	away     map[string]struct{} // where nobody said so
	device   string
	arrival  string   // the topic that says that the device is there
	moving   []string // what they announce to Home Assistant is told in the other form
	notice   func()   // for who remembers the topics; it never waits

	components map[string]string   // platforms of the entities that the message about the device has told of, by key
	plain      map[string]struct{} // topics where a picture that shows faces may stand
	sayings    uint64              // how many there were
	limit      sizeLimit

	pause     time.Duration // after migrate, for Home Assistant to let go of the entities
	heldUntil time.Time     // discovery, by that
	repeatAt  time.Time     // discovery, zero if not
}

const (
	migrationPause  = 3 * time.Second
	migrationRepeat = 10 * time.Second
)

// retained is what a topic says, one word after the other; the last one stays. A connection that ends before the broker has acknowledged
// the last takes all of them with it, and the next one begins again.
type retained struct {
	words   []string
	told    int // of the words, in this connection
	leaving bool
	plain   bool   // the last word is a picture that shows faces
	awaited uint64 // the saying whose acknowledgement changes something, 0 if none is on its way

	components map[string]string // what Home Assistant has been told of once all is acknowledged; nil: nothing new
}

func says(words ...string) retained { return retained{words: words} }

func (r *retained) due() bool { return r.told < len(r.words) }

func (r *retained) last() string { return r.words[len(r.words)-1] }

// saying is a payload that the broker is told; "" clears its topic. Numbers tell those of one topic apart.
type saying struct {
	topic, payload string
	number         uint64
	large          bool // a broker may refuse it
	awaited        bool // that it is acknowledged changes something
}

func newStates(device string) *states {
	return &states{device: device, topics: map[string]*retained{}, recalled: map[string]struct{}{}, plain: map[string]struct{}{}, away: map[string]struct{}{},
		notice: func() {}, pause: migrationPause}
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
		said := says(payload)
		s.add(topic, &said)
	case one.leaving:
		*one = says(payload)
	case !ifNew && one.last() != payload:
		one.words, one.told = []string{payload}, 0
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
		all := maps.Clone(read.Components) // more than one section may have told of some
		maps.Copy(all, s.components)
		s.components = all
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
	s.holdOthers()
	s.notice()
}

// lastWords are what a topic says before it is cleared, by its last level: who listens now hears that, not only the next who comes.
var lastWords = map[string]string{"status": "offline", "available": "offline", "detecting": "offline", "faces": "0", "occupied": "OFF"}

func (s *states) leaving(topic string) retained {
	last := lastWords[topic[strings.LastIndex(topic, "/")+1:]]
	if slices.Contains(s.moving, topic) {
		last = migrate
	}
	gone := says("")
	if last != "" {
		gone = says(last, "")
	}
	gone.leaving = true
	return gone
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
	if now.awaited = now.payload == "" || one.components != nil && !one.due(); now.awaited {
		one.awaited = now.number
	}
	now.large = s.limit.note(now)
	return now, true
}

// due is the topic whose turn it is, "" if all is said.
func (s *states) due() (topic string) {
	now := time.Now()
	best := picturing + 1
	for _, one := range s.order {
		state := s.topics[one]
		if state.due() && s.turn(one, state) < best && !s.waits(one, state, now) {
			topic, best = one, s.turn(one, state)
		}
	}
	return topic
}

func (s *states) waits(topic string, one *retained, now time.Time) bool {
	if _, held := s.held[topic]; held && one.leaving {
		return true
	}
	if isDiscovery(topic) && s.turn(topic, one) > leavetaking && now.Before(s.heldUntil) {
		return true
	}
	return !s.covers(topic, one) && s.limit.holds(len(one.words[one.told]), now)
}

// The turns of what is to be said. That the device is there comes behind all states: whoever hears of it takes what stands beside it for
// true, and until then that is of before. Pictures may take long, and come last.
const (
	leavetaking = iota
	clearing
	telling
	arriving
	picturing
)

func (s *states) turn(topic string, r *retained) int {
	switch {
	case r.leaving && r.words[r.told] != "":
		return leavetaking
	case r.leaving:
		return clearing
	case topic == s.arrival:
		return arriving
	case isPicture(topic):
		return picturing
	}
	return telling
}

// say takes the next word.
func (s *states) say(one *retained) (said string) {
	said = one.words[one.told]
	one.told++
	if one.leaving && said == migrate {
		s.heldUntil = time.Now().Add(s.pause)
		s.repeatAt = s.heldUntil.Add(migrationRepeat)
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
func (s *states) setDevice(topic, removing, message string, components map[string]string) {
	s.set(topic, message, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if one, known := s.topics[topic]; known {
		one.words, one.told, one.components = slices.Compact([]string{removing, message}), 0, components
		one.awaited = 0 // an acknowledgement that is still to come is of the message before
	}
	all := maps.Clone(components) // what is being removed is remembered until it is
	maps.Copy(all, s.components)
	s.components = all
	s.notice()
}

// removeFirst lets a topic that is about to move its entities remove some before.
func (s *states) removeFirst(topic, removing string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one, known := s.topics[topic]; known && one.leaving && one.told == 0 && one.words[0] == migrate {
		one.words = append([]string{removing}, one.words...)
	}
}

// endOf says the last word of all topics of this last level, as when the device goes.
func (s *states) endOf(level string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, one := range s.topics {
		if !one.leaving && topic != s.arrival && strings.HasSuffix(topic, "/"+level) {
			s.put(topic, lastWords[level], false)
		}
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
		if which(topic) {
			one.told = min(one.told, len(one.words)-1)
		}
	}
}

// acknowledged notes that the broker has forgotten a topic, or knows what came of the device. We forget a topic as well, unless somebody
// has set it again.
func (s *states) acknowledged(said saying) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, known := s.topics[said.topic]
	if !known || one.awaited != said.number || one.leaving && one.due() {
		return
	}
	one.awaited = 0
	delete(s.plain, said.topic)
	switch {
	case one.leaving:
		delete(s.topics, said.topic)
		s.order = slices.DeleteFunc(s.order, func(other string) bool { return other == said.topic })
	case one.components != nil:
		s.components, one.components = one.components, nil
		one.words, one.told = one.words[len(one.words)-1:], 1
	}
	s.notice()
}

// underWay tells that something is on its way which has to be acknowledged, or for which others may wait.
func (s *states) underWay() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	awaited := func(topic string) bool { return s.topics[topic].awaited != 0 }
	return s.limit.way.number != 0 || slices.ContainsFunc(s.order, awaited)
}

// connected makes every state due again, for the broker may have forgotten all of them, or not have heard of one.
func (s *states) connected(open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !open {
		return
	}
	for _, one := range s.topics {
		one.told, one.awaited = 0, 0
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

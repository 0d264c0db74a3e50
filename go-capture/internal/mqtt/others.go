// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// What stands under another name of this device is cleared, and that name may be another device's: files were copied to a second machine,
// and only one of the two was given a new name. So the broker is asked first whether somebody there is online by that name.

const (
	// figuresMissed is how often the figures of somebody who is there may not come. Who went with the broker, as when both lose their power,
	// is told as online by it for ever.
	figuresMissed = 3
	// silentAfter is how long a broker that has granted a subscription may take for what it retains.
	silentAfter = 2 * time.Second

	isThere = "online"
)

// presences are where each of these topics' owners says that it is there, of the owners that are not this device. A device says it above
// all else that it says.
func presences(topics []string, device string) map[string]string {
	var found []string
	for _, topic := range topics {
		name := path.Base(topic)
		ours := slices.Contains(strings.Split(topic, "/"), topicLevel(device))
		if (name == "status" || name == "available") && !ours {
			found = append(found, topic)
		}
	}
	slices.SortFunc(found, func(a, b string) int { return len(a) - len(b) })
	owners := map[string]string{}
	for _, presence := range found {
		base := path.Dir(presence)
		for _, topic := range topics {
			_, owned := owners[topic]
			if !owned && (strings.HasPrefix(topic, base+"/") || strings.Contains(topic, "/visavis_"+path.Base(base)+"/")) {
				owners[topic] = presence
			}
		}
	}
	return owners
}

// holdOthers keeps back what is about to be cleared and may be somebody else's. The mutex is held.
func (s *states) holdOthers() {
	var leaving []string
	for _, topic := range s.order {
		if s.topics[topic].leaving {
			leaving = append(leaving, topic)
		}
	}
	s.held = presences(leaving, s.device)
	for topic, presence := range s.held {
		if _, judged := s.away[presence]; judged {
			delete(s.held, topic)
		}
	}
}

// heldBy are the presences that something waits for.
func (s *states) heldBy() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, presence := range s.held {
		if !slices.Contains(all, presence) {
			all = append(all, presence)
		}
	}
	return all
}

// clear lets what belongs to nobody who is there be cleared.
func (s *states) clear(presence string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away[presence] = struct{}{}
	s.holdOthers()
}

// leaveTo forgets what belongs to somebody else.
func (s *states) leaveTo(presence string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	theirs := func(topic string) bool { return s.held[topic] == presence }
	s.order = slices.DeleteFunc(s.order, theirs)
	for topic := range s.held {
		if theirs(topic) {
			delete(s.topics, topic)
			delete(s.plain, topic)
		}
	}
	s.holdOthers()
	s.notice()
}

// inquiry is the question, in one connection, whether somebody is there.
type inquiry struct {
	mu      sync.Mutex
	granted time.Time // zero: not yet
	said    string    // of its presence
	heard   time.Time // that
	lives   bool      // it sends figures
}

func (q *inquiry) grant() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.granted = time.Now()
}

func (q *inquiry) hear(m paho.Message, presence string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	word := string(m.Payload())
	switch {
	case m.Topic() != presence:
		q.lives = q.lives || !m.Retained()
	case q.said != word:
		q.said, q.heard = word, time.Now()
	}
}

// answer is whether somebody is there; not known yet while the broker has not said, or a sign of life may still come.
func (q *inquiry) answer(goneAfter time.Duration) (there, known bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.lives:
		return true, true
	case q.said == isThere:
		return false, time.Since(q.heard) > goneAfter
	case q.said != "":
		return false, true
	}
	return false, !q.granted.IsZero() && time.Since(q.granted) > silentAfter
}

// askOthers asks for everybody to whom something may belong that is about to be cleared, and does what the answers say.
func (m *memory) askOthers(client paho.Client) {
	if m.askedBy != client { // what was heard before may have changed
		m.askedBy, m.inquiries = client, map[string]*inquiry{}
	}
	for _, presence := range m.heldBy() {
		q, asked := m.inquiries[presence]
		if !asked {
			m.inquiries[presence] = m.ask(client, presence)
			continue
		}
		there, known := q.answer(m.figuresMissed * figuresEvery(presence))
		if !known {
			continue
		}
		m.unsubscribe(client, presence, figuresBeside(presence))
		if there {
			slog.Warn("another device that runs has the name of before: what stands under it at the broker stays", "topic", presence)
			m.leaveTo(presence)
		} else {
			m.clear(presence)
		}
	}
}

func (m *memory) ask(client paho.Client, presence string) *inquiry {
	q := &inquiry{}
	m.alone.Lock()
	defer m.alone.Unlock()
	topics := map[string]byte{presence: StatusDelivery.QoS, figuresBeside(presence): StatsDelivery.QoS}
	token := client.SubscribeMultiple(topics, func(_ paho.Client, heard paho.Message) {
		q.hear(heard, presence)
		nudge(m.wake)
	})
	go func() {
		<-token.Done()
		if token.Error() == nil {
			q.grant()
		}
	}()
	return q
}

// figuresBeside is where whoever has a presence tells its figures all the time, in our form and in Frigate's.
func figuresBeside(presence string) string { return path.Dir(presence) + "/stats" }

func figuresEvery(presence string) time.Duration {
	if path.Base(presence) == "available" {
		return frigateInterval
	}
	return statsInterval
}

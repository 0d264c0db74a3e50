// SPDX-License-Identifier: Apache-2.0

package mqtt

// Picture is a JPEG of a camera. A plain one shows faces.
type Picture struct {
	JPEG  []byte
	Plain bool
}

// picture keeps one that is retained. A topic counts as showing faces until the broker has forgotten them: that another picture was sent
// does not tell that it arrived.
func (s *states) picture(topic string, p Picture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wants(topic) {
		return
	}
	s.put(topic, string(p.JPEG), false)
	one := s.topics[topic]
	one.plain = p.Plain
	if p.Plain {
		s.plain[topic], one.awaited = struct{}{}, 0
	}
	if s.covers(topic, one) {
		one.told = 0
	}
	s.notice()
}

// covers tells that a picture without faces comes after one with faces, which is cleared first.
func (s *states) covers(topic string, one *retained) bool {
	_, plain := s.plain[topic]
	return plain && !one.plain && !one.leaving && one.awaited == 0
}

// hide takes a picture back that shows faces, also that of an earlier process.
func (s *states) hide(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, plain := s.plain[topic]; !plain {
		return
	}
	gone := s.leaving(topic)
	one, known := s.topics[topic]
	switch {
	case !known:
		s.add(topic, &gone)
	case one.plain: // else it is about to be cleared
		*one = gone
	}
}

// SetLastFace publishes a picture of who appeared last.
func (p *Publisher) SetLastFace(camera string, face Picture) {
	p.states.picture(LastFaceTopic(p.settings.Prefix, p.settings.Device, camera), face)
	p.nudge()
}

// SetSnapshot publishes a camera's newest picture.
func (p *Publisher) SetSnapshot(camera string, whole Picture) {
	p.states.picture(SnapshotTopic(p.settings.Prefix, p.settings.Device, camera), whole)
	p.nudge()
}

// HidePictures takes plain pictures of a camera back whose faces are hidden from now on.
func (p *Publisher) HidePictures(camera string) {
	p.states.hide(LastFaceTopic(p.settings.Prefix, p.settings.Device, camera))
	p.states.hide(SnapshotTopic(p.settings.Prefix, p.settings.Device, camera))
	p.nudge()
}

// SetLastFace publishes a picture of who appeared last.
func (f *Frigate) SetLastFace(camera string, face Picture) {
	f.states.picture(FrigateSnapshotTopic(f.prefix(), camera), face)
	nudge(f.wake)
}

// HidePictures takes a plain picture of a camera back whose faces are hidden from now on.
func (f *Frigate) HidePictures(camera string) {
	f.states.hide(FrigateSnapshotTopic(f.prefix(), camera))
	nudge(f.wake)
}

// SetLastFace sends no pictures: the protocol is for values.
func (s *Sparkplug) SetLastFace(string, Picture) {}

// HidePictures has none to take back.
func (s *Sparkplug) HidePictures(string) {}

// SetSnapshot publishes a camera's newest picture.
func (b *Brokers) SetSnapshot(camera string, whole Picture) {
	for _, p := range b.natives {
		p.SetSnapshot(camera, whole)
	}
}

// SetLastFace publishes a picture of who appeared last.
func (b *Brokers) SetLastFace(camera string, face Picture) {
	for _, f := range b.all {
		f.SetLastFace(camera, face)
	}
}

// HidePictures takes plain pictures of a camera back whose faces are hidden from now on.
func (b *Brokers) HidePictures(camera string) {
	for _, f := range b.all {
		f.HidePictures(camera)
	}
}

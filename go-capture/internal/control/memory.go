// SPDX-License-Identifier: Apache-2.0

package control

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"visavis/capture/internal/showing"
	"visavis/capture/internal/state"
)

const (
	memoryVersion = 1
	memoryBytes   = 1 << 20
	camerasMost   = 1024 // that are remembered: names come from configurations only, and yet none grows for ever
	closeMost     = time.Second
)

// learned is what differs from the configuration because somebody ordered it.
type learned struct {
	Enabled *bool    `json:"enabled,omitempty"`
	Detect  *bool    `json:"detect,omitempty"`
	Privacy string   `json:"privacy,omitempty"`
	Score   *float64 `json:"score,omitempty"`
}

type memoryFile struct {
	Version int                `json:"version"`
	Cameras map[string]learned `json:"cameras"`
}

// over is the state of a camera of which this was learned. What hides less than the configuration is forgotten: a device that comes
// back shows no more than its files say.
func (l learned) over(r Rules) State {
	s := State{Enabled: true, Detect: true, Privacy: r.Privacy, Score: r.Score}
	if l.Enabled != nil {
		s.Enabled = *l.Enabled
	}
	if l.Detect != nil {
		s.Detect = *l.Detect
	}
	if slices.Contains(r.Allowed, l.Privacy) && hides(l.Privacy, r.Privacy) {
		s.Privacy = l.Privacy
	}
	if l.Score != nil && *l.Score >= 0 && *l.Score <= 1 {
		s.Score = *l.Score
	}
	return s
}

// hides tells whether a privacy hides at least as much as another. Pixelated and blurred count as equal.
func hides(one, other string) bool { return one != showing.PrivacyNone || other == showing.PrivacyNone }

// difference is what there is to remember of a state.
func difference(s State, r Rules) learned {
	var l learned
	if !s.Enabled {
		l.Enabled = &s.Enabled
	}
	if !s.Detect {
		l.Detect = &s.Detect
	}
	if s.Privacy != r.Privacy && hides(s.Privacy, r.Privacy) {
		l.Privacy = s.Privacy
	}
	if s.Score != r.Score {
		l.Score = &s.Score
	}
	return l
}

// memory keeps what was learned, and a file of it.
type memory struct {
	keeper *state.Keeper
	left   string // orders that only another release understands, in a sentence; "" if there are none

	mu      sync.Mutex
	cameras map[string]learned
}

const forgotten = "what was ordered over MQTT before is forgotten"

// openMemory reads the file. One that cannot be read costs only what was learned.
func openMemory(path string) *memory {
	m := &memory{cameras: map[string]learned{}}
	own := m.read(path)
	m.keeper = state.NewKeeper(own, "what is ordered over MQTT will not survive a restart", "what is ordered over MQTT is kept again", m.content)
	return m
}

// read takes over what is remembered, and returns where that is kept from now on.
func (m *memory) read(path string) (own string) {
	if path == "" {
		return path
	}
	cameras, own, err := readMemory(path)
	if err != nil {
		slog.Warn(forgotten, "file", path, "error", err)
	}
	var other *state.VersionError
	if errors.As(err, &other) {
		m.left = fmt.Sprintf("%s: %v", forgotten, other)
	}
	if cameras != nil {
		m.cameras = cameras
	}
	return own
}

// fault says why orders would not survive a restart, or have not survived the last; "" when all is well.
func (m *memory) fault() string { return cmp.Or(m.keeper.Fault(), m.left) }

func (m *memory) of(id string) learned {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cameras[id]
}

func (m *memory) learn(id string, s State, r Rules) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := difference(s, r); now != (learned{}) && (len(m.cameras) < camerasMost || m.knows(id)) {
		m.cameras[id] = now
	} else {
		delete(m.cameras, id)
	}
	m.keeper.Changed()
}

func (m *memory) knows(id string) bool {
	_, known := m.cameras[id]
	return known
}

func (m *memory) content() ([]byte, error) {
	m.mu.Lock()
	cameras := maps.Clone(m.cameras)
	m.mu.Unlock()
	raw, err := json.Marshal(memoryFile{memoryVersion, cameras})
	return append(raw, '\n'), err
}

func readMemory(path string) (cameras map[string]learned, own string, err error) {
	raw, own, err := state.ReadOwn(path, memoryBytes, memoryVersion)
	if raw == nil {
		return nil, own, err
	}
	var read memoryFile
	if damage := json.Unmarshal(raw, &read); damage != nil {
		return nil, own, errors.Join(err, fmt.Errorf("damaged: %w", damage))
	}
	return read.Cameras, own, err
}

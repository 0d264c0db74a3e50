// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

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
func hides(one, other string) bool { return one != "none" || other == "none" }

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

	mu      sync.Mutex
	cameras map[string]learned
}

// openMemory reads the file. One that cannot be read costs only what was learned.
func openMemory(path string) *memory {
	m := &memory{cameras: map[string]learned{}}
	m.keeper = state.NewKeeper(path, "what is ordered over MQTT will not survive a restart", "what is ordered over MQTT is kept again", m.content)
	if path == "" {
		return m
	}
	cameras, err := readMemory(path)
	if err != nil {
		slog.Warn("what was ordered over MQTT before is forgotten", "file", path, "error", err)
	}
	if cameras != nil {
		m.cameras = cameras
	}
	return m
}

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

func readMemory(path string) (map[string]learned, error) {
	raw, err := state.Read(path, memoryBytes)
	if err != nil || raw == nil {
		return nil, err
	}
	var read memoryFile
	if err := json.Unmarshal(raw, &read); err != nil {
		return nil, fmt.Errorf("damaged: %w", err)
	}
	if read.Version != memoryVersion {
		return nil, fmt.Errorf("version %d, this program knows %d", read.Version, memoryVersion)
	}
	return read.Cameras, nil
}

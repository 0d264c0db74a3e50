// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	ordersPerSecond = 2
	ordersAtOnce    = 10
)

// Rules are what the configuration says about one camera.
type Rules struct {
	Privacy  string   // as configured
	Score    float64  // as configured
	Allowed  []string // privacies that may be ordered
	Pictures bool     // it may be asked for snapshots
}

// Board is the switches of all cameras of a device.
type Board struct {
	now     func() time.Time
	mu      sync.Mutex
	cameras map[string]place
	rates   map[string]*rate.Limiter // of cameras that are gone, too: a reload is no way to more orders
	memory  *memory
}

type place struct {
	camera *Camera
	rules  Rules
}

// NewBoard has no cameras; file is where learned states are kept, "" for nowhere.
func NewBoard(file string) *Board {
	return &Board{now: time.Now, cameras: map[string]place{}, rates: map[string]*rate.Limiter{}, memory: openMemory(file)}
}

// Camera gives the switches of a camera that is configured so. What was ordered earlier holds, as far as the rules allow it now.
func (b *Board) Camera(id string, rules Rules) *Camera {
	b.mu.Lock()
	defer b.mu.Unlock()
	made := place{rules: rules, camera: NewCamera(b.memory.of(id).over(rules))}
	b.cameras[id] = made
	if b.rates[id] == nil {
		b.rates[id] = rate.NewLimiter(ordersPerSecond, ordersAtOnce)
	}
	return made.camera
}

// Remembered is how a camera will be set that does not run yet.
func (b *Board) Remembered(id string, rules Rules) State { return b.memory.of(id).over(rules) }

// Forget takes a camera away. What was ordered of it is kept for when it comes back.
func (b *Board) Forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.cameras, id)
}

// Obeyed is what an order did.
type Obeyed struct{ From, To State }

// Obey carries an order out, or says in a Refusal why not. It returns at once.
func (b *Board) Obey(id string, o Order) (Obeyed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, known := b.cameras[id]
	if !known {
		return Obeyed{}, Refusal{"unknown", fmt.Sprintf("there is no camera %q", id)}
	}
	if !b.rates[id].AllowN(b.now(), 1) {
		return Obeyed{}, Refusal{"too_many", fmt.Sprintf("more than %d orders at once or %d a second", ordersAtOnce, ordersPerSecond)}
	}
	if err := at.rules.refuse(o); err != nil {
		return Obeyed{}, err
	}
	from := at.camera.Now()
	to := from.with(o)
	if from != to {
		at.camera.set(to)
		b.memory.learn(id, to, at.rules)
	}
	return Obeyed{from, to}, nil
}

func (r Rules) refuse(o Order) error {
	if o.Name == Privacy && !slices.Contains(r.Allowed, o.Privacy) {
		return Refusal{"not_allowed", fmt.Sprintf("privacy %q is not allowed: add it to privacy_allowed of the camera", o.Privacy)}
	}
	if o.Name == Snapshot && !r.Pictures {
		return Refusal{"not_allowed", "no pictures go over MQTT: set snapshots = true for the camera"}
	}
	return nil
}

// Fault says why what is ordered would not survive a restart now, or has not survived the last; "" when all is well.
func (b *Board) Fault() string { return b.memory.fault() }

// Start begins to write down what is learned. Close ends that.
func (b *Board) Start() { b.memory.keeper.Start() }

// Close waits until what was learned is on the disk. It needs a Start before.
func (b *Board) Close() { b.memory.keeper.Close(closeMost) }

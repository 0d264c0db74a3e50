// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"time"

	"visavis/capture/internal/backoff"
	"visavis/capture/internal/config"
)

// runCameras starts the configured cameras and applies each reload until ctx ends; then it waits for all of them. One for which there was
// no memory is tried again.
func (a *Appliance) runCameras(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	wanted, wait := a.config, backoff.New(firstRetry, mostRetry)
	a.apply(wanted)
	for {
		var again <-chan time.Time
		if !a.startMissing(ctx, &running, wanted.Cameras) {
			again = time.After(wait.Next())
		}
		select {
		case <-ctx.Done():
			return nil
		case wanted = <-a.reloads:
			a.apply(wanted)
			wait.Reset()
		case <-again:
		}
	}
}

// Reload changes the set of cameras to that of `next`. Cameras whose settings are the same do not notice; everything
// beside the cameras keeps the values it was started with, which is told where it would have others. It waits until the cameras run, or
// ctx ends.
func (a *Appliance) Reload(ctx context.Context, next *config.Config) {
	if sections := a.config.Differs(next); len(sections) > 0 {
		slog.Warn("only cameras are read again: restart the service for what else has changed", "sections", strings.Join(sections, ", "))
	}
	select {
	case a.reloads <- next:
	case <-ctx.Done():
	}
}

// apply says which cameras there are from now on, and ends those that are gone or changed, all at the same time.
func (a *Appliance) apply(next *config.Config) {
	a.list(next.Cameras)
	a.expect(next.Cameras)
	ending := a.snapshotCameras()
	for _, settings := range next.Cameras {
		if old, known := ending[settings.ID]; known && reflect.DeepEqual(settings, old.settings) {
			delete(ending, settings.ID)
		}
	}
	for _, old := range ending {
		old.cancel()
	}
	for id, old := range ending {
		old.stop()
		a.forget(id)
	}
}

// startMissing starts those of the cameras that do not run yet. It notes why one is refused, and says it when the reason is new.
func (a *Appliance) startMissing(ctx context.Context, running *sync.WaitGroup, cameras []config.Camera) (all bool) {
	run, all := a.snapshotCameras(), true
	for _, settings := range cameras {
		if run[settings.ID] != nil {
			continue
		}
		if err := a.start(ctx, running, settings); err != nil {
			a.refuse(settings, err)
			all = false
		}
	}
	return all
}

// refuse notes why a camera does not run, for the status. What the broker has of it shows no more than it would if it ran.
func (a *Appliance) refuse(settings config.Camera, err error) {
	id := settings.ID
	a.mu.Lock()
	known := a.refused[id] == err.Error()
	a.refused[id] = err.Error()
	a.mu.Unlock()
	if !known {
		slog.Error("camera refused, the others go on", "camera", id, "error", err)
		a.cameraStatus(id, false) // retained, as when it starts
		a.ordering.Lock()
		defer a.ordering.Unlock()
		a.tellOrders(id, a.board.Remembered(id, rules(a.config, settings)))
	}
}

// start brings one camera up; it fails when the camera cannot have a ring.
func (a *Appliance) start(ctx context.Context, running *sync.WaitGroup, settings config.Camera) error {
	c, err := a.newCamera(settings)
	if err != nil {
		return err
	}
	ctx, c.cancel = context.WithCancel(ctx)
	a.mu.Lock()
	a.cameras[settings.ID] = c
	delete(a.refused, settings.ID)
	a.mu.Unlock()
	a.introduce(c)
	a.cameraStatus(settings.ID, false) // retained: a camera that never comes must not look like the last run's
	running.Add(1)
	go func() {
		defer running.Done()
		defer close(c.ended)
		c.run(ctx)
	}()
	slog.Info("camera started", "camera", settings.ID, "source", settings.Shown())
	return nil
}

// forget removes a camera that was stopped from everything that shows cameras.
func (a *Appliance) forget(id string) {
	a.mu.Lock()
	delete(a.cameras, id)
	a.mu.Unlock()
	a.board.Forget(id)
	a.web.CameraRemoved(id)
	a.hub.CameraRemoved(id)
	a.cameraStatus(id, false)
	slog.Info("camera removed", "camera", id)
}

// snapshotCameras copies the table, so that nothing slow happens under its mutex.
func (a *Appliance) snapshotCameras() map[string]*camera {
	a.mu.Lock()
	defer a.mu.Unlock()
	copied := make(map[string]*camera, len(a.cameras))
	for id, c := range a.cameras {
		copied[id] = c
	}
	return copied
}

// cameraStatus tells the broker whether a camera delivers.
func (a *Appliance) cameraStatus(id string, online bool) {
	if a.mqtt != nil {
		a.mqtt.SetCameraStatus(id, online)
	}
}

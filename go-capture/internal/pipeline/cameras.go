// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"sync"

	"visavis/capture/internal/config"
)

// runCameras starts the configured cameras and applies each reload until ctx ends; then it waits for all of them.
func (a *Appliance) runCameras(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	a.apply(ctx, &running, a.config)
	for {
		select {
		case <-ctx.Done():
			return nil
		case next := <-a.reloads:
			a.apply(ctx, &running, next)
		}
	}
}

// Reload changes the set of cameras to that of `next`. Cameras whose settings are the same do not notice; everything
// beside the cameras keeps the values it was started with, which is told where it would have others.
func (a *Appliance) Reload(next *config.Config) {
	if sections := a.config.Differs(next); len(sections) > 0 {
		slog.Warn("only cameras are read again: restart the service for what else has changed", "sections", strings.Join(sections, ", "))
	}
	a.reloads <- next
}

// apply ends cameras that are gone or changed, all at the same time, and starts those that are new or changed.
func (a *Appliance) apply(ctx context.Context, running *sync.WaitGroup, next *config.Config) {
	a.list(next.Cameras)
	a.expect(next.Cameras)
	wanted := map[string]config.Camera{}
	for _, settings := range next.Cameras {
		wanted[settings.ID] = settings
	}
	ending := a.snapshotCameras()
	for id, old := range ending {
		if settings, stays := wanted[id]; stays && reflect.DeepEqual(settings, old.settings) {
			delete(wanted, id)
			delete(ending, id)
			continue
		}
		old.cancel()
	}
	for id, old := range ending {
		old.stop()
		a.forget(id)
	}
	for _, settings := range next.Cameras {
		if _, isNew := wanted[settings.ID]; isNew {
			a.start(ctx, running, settings)
		}
	}
}

// start brings one camera up; a camera that cannot have a ring is refused and logged, the others run.
func (a *Appliance) start(ctx context.Context, running *sync.WaitGroup, settings config.Camera) {
	c, err := a.newCamera(settings)
	if err != nil {
		slog.Error("camera refused, the others go on", "camera", settings.ID, "error", err)
		return
	}
	ctx, c.cancel = context.WithCancel(ctx)
	a.mu.Lock()
	a.cameras[settings.ID] = c
	a.mu.Unlock()
	a.introduce(c)
	a.cameraStatus(settings.ID, false) // retained: a camera that never comes must not look like the last run's
	running.Add(1)
	go func() {
		defer running.Done()
		defer close(c.ended)
		c.run(ctx)
	}()
	slog.Info("camera started", "camera", settings.ID, "source", settings.Source)
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

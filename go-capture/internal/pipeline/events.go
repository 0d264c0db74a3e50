// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"visavis/capture/internal/aside"
	"visavis/capture/internal/config"
	"visavis/capture/internal/event"
	"visavis/capture/internal/history"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/mqtt"
	"visavis/capture/internal/state"
)

// closeLimit is how long the end waits for a disk that hangs.
const closeLimit = 3 * time.Second

// followName lets what was kept under another device.id of the same file come along. Nothing of it may be open yet.
func followName(c *config.Config, file string) {
	folder, err := state.Folder()
	if err != nil || file == "" {
		return // nothing was kept, or nobody knows under which name
	}
	if err := state.Follow(folder, file, c.Device.ID); err != nil {
		slog.Warn("an earlier device.id of this device is not known", "error", err)
	}
}

// historySettings keep a device's recent past in a folder of its own, or in memory where there is no folder for anything.
func historySettings(c *config.Config) history.Settings {
	s := history.Settings{MostBytes: int64(c.History.Mb) << 20, MostAge: mostAge(c)}
	if folder, err := state.Folder(); err == nil {
		s.Folder = filepath.Join(folder, "history", c.Device.ID)
	}
	return s
}

// mostAge is how long events are kept, and their pictures.
func mostAge(c *config.Config) time.Duration { return time.Duration(c.History.Days) * 24 * time.Hour }

// keeper gives the history what the hub tells.
type keeper struct{ *history.History }

// Take implements hub.Leaf.
func (keeper) Take(*hub.Result) {}

// TakeEvent implements hub.EventTaker.
func (k keeper) TakeEvent(e event.Event) { k.Append(e) }

// keepEvents opens what keeps events, goes on where an earlier process ended, and returns what closes it.
func (a *Appliance) keepEvents() (closeEvents func() error, err error) {
	closeOutbox, err := a.openOutbox()
	if err != nil {
		return nil, err
	}
	a.history.Start()
	closePictures := a.startPainter()
	a.expect(a.config.Cameras) // whoever hears how a visit ended knows the camera
	a.resume()
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
		defer cancel()
		return aside.Together(ctx, closeOutbox, closePictures, a.history.Close)
	}, nil
}

func (a *Appliance) startPainter() (closePictures func(context.Context) error) {
	if a.album == nil {
		forgetPictures(a.config)
	}
	if a.painter == nil {
		return func(context.Context) error { return nil }
	}
	a.painter.Start()
	return a.painter.Close
}

// resume ends the visits that a killed daemon left open. What cannot be read of them is only told.
func (a *Appliance) resume() {
	unfinished, err := a.history.Unfinished()
	if err := errors.Join(err, a.hub.Resume(a.history.Last(), unfinished)); err != nil {
		slog.Warn("visits of the last run may stay without an end", "error", err)
	}
}

// openOutbox gives each broker its outbox and the memory of its topics, and lets those of brokers that are no longer told run out. Each
// device has its own.
func (a *Appliance) openOutbox() (closeOutbox func(context.Context) error, err error) {
	closeOwn := func(context.Context) error { return nil }
	folder, err := state.Folder()
	switch {
	case a.mqtt == nil && err != nil: // none can wait
		return closeOwn, nil
	case a.mqtt != nil && err == nil:
		closeOwn, err = a.mqtt.Keep(folder, a.file)
	}
	if err != nil {
		return nil, err
	}
	closeOthers := a.mqtt.LetOthersAge(folder, a.config.Device.ID)
	return func(ctx context.Context) error { return aside.Together(ctx, closeOwn, closeOthers) }, nil
}

// expect tells the brokers which cameras and zones there are from now on.
func (a *Appliance) expect(cameras []config.Camera) {
	if a.mqtt == nil {
		return
	}
	places := make([]mqtt.Place, len(cameras))
	for i, c := range cameras {
		places[i] = mqtt.Place{Camera: c.ID, Pictures: c.Snapshots, Privacy: c.Privacy, Privacies: c.PrivacyAllowed}
		for _, z := range c.Zones {
			places[i].Zones = append(places[i].Zones, z.Name)
		}
		for _, l := range c.Lines {
			places[i].Lines = append(places[i].Lines, l.Name)
		}
	}
	a.mqtt.Expect(places)
}

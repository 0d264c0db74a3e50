// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"log/slog"
	"path/filepath"

	"visavis/capture/internal/album"
	"visavis/capture/internal/config"
	"visavis/capture/internal/history"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/jpeg"
	"visavis/capture/internal/mqtt"
	"visavis/capture/internal/portrait"
	"visavis/capture/internal/showing"
	"visavis/capture/internal/state"
)

// pictureFolder is where pictures of events are kept; it fails when there is no folder for anything.
func pictureFolder(c *config.Config) (string, error) {
	folder, err := state.Folder()
	return filepath.Join(folder, "thumbnails", c.Device.ID), err
}

// openAlbum is nil when the configuration wants no pictures or there is no folder for anything.
func openAlbum(c *config.Config, events *history.History) *album.Album {
	folder, err := pictureFolder(c)
	if err != nil || c.History.ThumbnailsMb == 0 {
		return nil
	}
	s := albumSettings(c, folder)
	s.Oldest = events.Oldest
	return album.New(s)
}

func albumSettings(c *config.Config, folder string) album.Settings {
	return album.Settings{Folder: folder, MostBytes: int64(c.History.ThumbnailsMb) << 20, MostAge: mostAge(c)}
}

// forgetPictures removes what was kept when the configuration wanted pictures.
func forgetPictures(c *config.Config) {
	folder, err := pictureFolder(c)
	if err != nil {
		return // none can have been kept
	}
	if err := album.Trim(albumSettings(c, folder), showsFaces); err != nil {
		slog.Warn("no pictures of events are wanted, and those of before may stay", "folder", folder, "error", err)
	}
}

// showsFaces tells what nobody may see of a camera without viewers.
func showsFaces(_, privacy string) bool { return privacy == showing.PrivacyNone }

// newPainter is nil when nobody wants pictures.
func (a *Appliance) newPainter() *portrait.Painter {
	if a.album == nil && a.mqtt == nil {
		return nil
	}
	wanted := portrait.Settings{Album: a.album, Privacy: a.privacy, Encode: jpeg.Encode}
	if a.mqtt != nil {
		wanted.MayLeave, wanted.Send = a.mayLeave, a.sendPictures
	}
	return portrait.New(wanted)
}

// sendPictures lets the newest picture and the face in it go to the broker.
func (a *Appliance) sendPictures(r *hub.Result, face portrait.Look) error {
	whole, err := jpeg.Encode(r, showing.Style{Privacy: face.Privacy})
	if err != nil {
		return err
	}
	a.ordering.Lock() // an order to hide faces comes before, or takes back what is sent here
	defer a.ordering.Unlock()
	if showing.ShowsTooMuch(face.Privacy, a.privacy(r.Camera)) {
		return nil
	}
	plain := face.Privacy == showing.PrivacyNone
	a.mqtt.SetSnapshot(r.Camera, mqtt.Picture{JPEG: whole, Plain: plain})
	a.mqtt.SetLastFace(r.Camera, mqtt.Picture{JPEG: face.JPEG, Plain: plain})
	return nil
}

// mayLeave tells whether pictures of a camera may go over MQTT.
func (a *Appliance) mayLeave(camera string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, known := a.cameras[camera]
	return known && c.settings.Snapshots
}

// privacy is what holds at a camera now, or will once it runs; of one that is gone, everything is hidden.
func (a *Appliance) privacy(camera string) string {
	if now, known := (*view)(a).Privacy(camera); known {
		return now
	}
	for _, at := range a.places() {
		if at.settings.ID == camera {
			return a.privacyNow(at)
		}
	}
	return showing.PrivacyPixelate
}

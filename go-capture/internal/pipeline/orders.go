// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"log/slog"
	"path/filepath"

	"visavis/capture/internal/config"
	"visavis/capture/internal/control"
	"visavis/capture/internal/mqtt"
	"visavis/capture/internal/showing"
	"visavis/capture/internal/state"
)

// ordersFile is where what was ordered outlives the daemon; "" where there is no folder for anything.
func ordersFile(c *config.Config) string {
	folder, err := state.Folder()
	if err != nil {
		return ""
	}
	return filepath.Join(folder, "orders", c.Device.ID+".json")
}

// rules are what the configuration lets orders do at a camera.
func rules(all *config.Config, c config.Camera) control.Rules {
	return control.Rules{Privacy: c.Privacy, Score: all.Detector.Score, Allowed: c.PrivacyAllowed, Pictures: c.Snapshots}
}

// obey carries a command out. What it changed is told to the broker and written to the journal; what it was refused for, too.
func (a *Appliance) obey(c mqtt.Command) error {
	order, err := control.Parse(c.Name, c.Payload)
	if err != nil {
		return err
	}
	done, err := a.change(c.Camera, order)
	if err != nil {
		return err
	}
	if order.Name == control.Snapshot {
		err = a.sendSnapshot(c.Camera)
	}
	if err != nil {
		return err
	}
	slog.Info("command obeyed", "camera", c.Camera, "topic", c.Topic, "from", done.From.Text(order.Name), "to", done.To.Text(order.Name))
	return nil
}

// change carries an order out at a camera, and tells of it those who do not look themselves.
func (a *Appliance) change(camera string, o control.Order) (control.Obeyed, error) {
	a.ordering.Lock()
	defer a.ordering.Unlock()
	done, err := a.board.Obey(camera, o)
	if err != nil {
		return done, err
	}
	if done.From.Score != done.To.Score {
		a.hub.ScoreChanged(camera, done.To.Score)
	}
	a.tellOrders(camera, done.To)
	return done, nil
}

// introduce tells the same people how a camera begins. No order comes between the look and the telling: it would be lost.
func (a *Appliance) introduce(c *camera) {
	a.ordering.Lock()
	defer a.ordering.Unlock()
	now := c.orders.Now()
	a.hub.CameraAdded(c.settings.ID, watch(a.config, c.settings, now.Score))
	a.tellOrders(c.settings.ID, now)
}

// sendSnapshot publishes the newest picture as viewers may see it.
func (a *Appliance) sendSnapshot(camera string) error {
	a.ordering.Lock()
	defer a.ordering.Unlock()
	plain := a.privacy(camera) == showing.PrivacyNone
	picture, err := a.web.Newest(camera)
	if err != nil {
		return control.Refusal{Reason: "no_picture", Text: fmt.Sprintf("no snapshot of %s: %v", camera, err)}
	}
	plain = plain || a.privacy(camera) == showing.PrivacyNone // a reload may have come between
	a.mqtt.SetSnapshot(camera, mqtt.Picture{JPEG: picture, Plain: plain})
	return nil
}

// tellOrders tells the broker how a camera is set, and takes the pictures back that show more than that.
func (a *Appliance) tellOrders(camera string, s control.State) {
	if a.mqtt != nil {
		for _, name := range control.States {
			a.mqtt.SetState(camera, name, s.Text(name))
		}
	}
	if s.Privacy != showing.PrivacyNone {
		a.hidePictures(camera)
	}
}

// hidePictures takes pictures with plain faces back, from the broker and from the disk.
func (a *Appliance) hidePictures(camera string) {
	if a.mqtt != nil {
		a.mqtt.HidePictures(camera)
	}
	if a.painter != nil {
		a.painter.FacesHidden()
	}
}

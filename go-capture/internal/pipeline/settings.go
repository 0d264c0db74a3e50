// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"net"
	"net/url"

	"visavis/capture/internal/config"
	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/jpeg"
	"visavis/capture/internal/mqtt"
	"visavis/capture/internal/requestlog"
	"visavis/capture/internal/source"
	"visavis/capture/internal/web"
)

func webSettings(c *config.Config, version string) web.Settings {
	detections := func(r *hub.Result) ([]byte, error) { return mqtt.Detections(c.Device.ID, r) }
	return web.Settings{
		Listen: c.Web.Listen, Hosts: pageNames(c), Device: c.Device.ID, Version: version, Encode: jpeg.Encode, Detections: detections,
		Log: requestlog.New(c.Web.LogRequests), SessionMost: sessionMost(c),
	}
}

// mqttSettings are those of each broker that is used.
func mqttSettings(c *config.Config, version string) []mqtt.Settings {
	var each []mqtt.Settings
	for _, broker := range c.Brokers() {
		each = append(each, brokerSettings(c, broker, version))
	}
	return each
}

func brokerSettings(c *config.Config, m config.Broker, version string) mqtt.Settings {
	address := m.URL
	if address == "managed" {
		address = config.ManagedBroker
	}
	return mqtt.Settings{
		Section: m.Section, URL: address, Prefix: m.Prefix, Device: c.Device.ID, CA: m.CA, Cert: m.Cert, Key: m.Key,
		User: m.User, PasswordFile: m.PasswordFile, Commands: takesCommands(m.MQTT, address),
		Formats: m.Formats, FrigatePrefix: m.FrigatePrefix, SparkplugGroup: m.SparkplugGroup,
		Discovery: m.Discovery, Version: version, Page: pageURL(c), Temperature: newCooling(c.Thermal).all.HottestC() != nil,
	}
}

// takesCommands tells whether commands are let in. A broker elsewhere that wants no login from us wants none from others either.
func takesCommands(m config.MQTT, address string) bool {
	if m.Commands != "auto" {
		return m.Commands == "on"
	}
	broker, err := url.Parse(address)
	if err != nil || m.User != "" || m.Cert != "" {
		return err == nil
	}
	ip := net.ParseIP(broker.Hostname())
	return broker.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

// visitors is one: `visavis model quantize --from-camera` looks at a camera while all workers work.
const visitors = 1

func dispatchOptions(c *config.Config, outcome func(dispatch.Outcome)) dispatch.Options {
	return dispatch.Options{
		Workers: c.Detector.Workers, Visitors: visitors, Credit: c.Worker.Credit, LeaseMs: c.Worker.LeaseMs, Outcome: outcome,
		GuestShare: c.Gateway.Share,
	}
}

// sourceSettings resolves the camera's address; a password comes from its file at each session.
func sourceSettings(c config.Camera) (source.Settings, error) {
	address, err := c.Address()
	if err != nil {
		return source.Settings{}, err
	}
	return source.Settings{
		URI: address, Width: c.Size[0], Height: c.Size[1], FPS: c.FPS, MostFPS: c.DetectFPS, Reader: c.Reader, PixelFormat: c.PixelFormat, CSIDriver: c.CSIDriver,
	}, nil
}

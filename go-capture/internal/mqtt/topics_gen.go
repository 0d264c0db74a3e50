// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/mqtt.toml by contracts/generate.py. DO NOT EDIT.

package mqtt

import "strings"

// topicLevel keeps a name inside its level: whatever is not of a-z 0-9 _ - becomes _, so that no name holds a slash, a
// wildcard or nothing at all.
func topicLevel(name string) string {
	if name == "" {
		return "_"
	}
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			return c
		}
		return '_'
	}, name)
}

// Delivery is how the messages of one topic are sent.
type Delivery struct {
	QoS    byte
	Retain bool
}

// StatusTopic: Whether the device is there; `offline` is also the last will.
func StatusTopic(prefix, device string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/status"
}

// StatusDelivery is how StatusTopic is sent.
var StatusDelivery = Delivery{QoS: 1, Retain: true}

// InfoTopic: What the device is: version, model, backend, precision, cameras; while an engine is being built, how far that is.
func InfoTopic(prefix, device string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/info"
}

// InfoDelivery is how InfoTopic is sent.
var InfoDelivery = Delivery{QoS: 1, Retain: true}

// StatsTopic: Figures of each camera, every ten seconds.
func StatsTopic(prefix, device string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/stats"
}

// StatsDelivery is how StatsTopic is sent.
var StatsDelivery = Delivery{QoS: 0, Retain: false}

// EventsTopic: A face appeared, entered a zone, crossed a line, left a zone, or is gone. Each event arrives at least once, and in order; while the broker is away, events wait on disk.
func EventsTopic(prefix, device string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/events"
}

// EventsDelivery is how EventsTopic is sent.
var EventsDelivery = Delivery{QoS: 1, Retain: false}

// CameraStatusTopic: Whether the camera delivers. It holds while `{device}/status` is `online`, as do all other states of a camera: that is told after them, and the broker says `offline` there for a device that was cut off.
func CameraStatusTopic(prefix, device, camera string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/" + topicLevel(camera) + "/status"
}

// CameraStatusDelivery is how CameraStatusTopic is sent.
var CameraStatusDelivery = Delivery{QoS: 1, Retain: true}

// DetectingTopic: Whether somebody looks for faces there: the camera delivers, its detection is on, a worker is connected, and results come. While it is `offline`, the topics `faces` and `occupied` of the camera and its zones say nothing: their 0 and `OFF` do not mean that nobody is there. `offline` is told before them.
func DetectingTopic(prefix, device, camera string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/" + topicLevel(camera) + "/detecting"
}

// DetectingDelivery is how DetectingTopic is sent.
var DetectingDelivery = Delivery{QoS: 1, Retain: true}

// DetectionsTopic: One message for each inferred frame, even when it shows no face.
func DetectionsTopic(prefix, device, camera string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/" + topicLevel(camera) + "/detections"
}

// DetectionsDelivery is how DetectionsTopic is sent.
var DetectionsDelivery = Delivery{QoS: 0, Retain: false}

// FacesTopic: How many faces are followed, on change; 0 also where nobody looks, see `detecting`.
func FacesTopic(prefix, device, camera string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/" + topicLevel(camera) + "/faces"
}

// FacesDelivery is how FacesTopic is sent.
var FacesDelivery = Delivery{QoS: 1, Retain: true}

// OccupiedTopic: Whether somebody is there, on change, debounced by the camera's delays; `OFF` also where nobody looks, see `detecting`: events `left` and `gone` end what was followed.
func OccupiedTopic(prefix, device, camera string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/" + topicLevel(camera) + "/occupied"
}

// OccupiedDelivery is how OccupiedTopic is sent.
var OccupiedDelivery = Delivery{QoS: 1, Retain: true}

// SnapshotTopic: The newest picture with the camera's privacy applied, only with `snapshots = true`: when somebody appears, at most once a second, and after the command `snapshot`. It is told again when the connection to the broker comes back, for the broker may have forgotten it.
func SnapshotTopic(prefix, device, camera string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/" + topicLevel(camera) + "/snapshot"
}

// SnapshotDelivery is how SnapshotTopic is sent.
var SnapshotDelivery = Delivery{QoS: 0, Retain: true}

// LastFaceTopic: The face that appeared last and what is around it, with the camera's privacy applied, only with `snapshots = true`. It is told again when the connection to the broker comes back, for the broker may have forgotten it.
func LastFaceTopic(prefix, device, camera string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/" + topicLevel(camera) + "/last_face"
}

// LastFaceDelivery is how LastFaceTopic is sent.
var LastFaceDelivery = Delivery{QoS: 0, Retain: true}

// ZoneFacesTopic: How many faces have entered the zone and not left it, on change.
func ZoneFacesTopic(prefix, device, camera, zone string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/" + topicLevel(camera) + "/zone/" + topicLevel(zone) + "/faces"
}

// ZoneFacesDelivery is how ZoneFacesTopic is sent.
var ZoneFacesDelivery = Delivery{QoS: 1, Retain: true}

// ZoneOccupiedTopic: Whether somebody is in the zone, on change, debounced by the zone's delays.
func ZoneOccupiedTopic(prefix, device, camera, zone string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/" + topicLevel(camera) + "/zone/" + topicLevel(zone) + "/occupied"
}

// ZoneOccupiedDelivery is how ZoneOccupiedTopic is sent.
var ZoneOccupiedDelivery = Delivery{QoS: 1, Retain: true}

// SetTopic: Commands, if `mqtt.commands` lets them in. Unknown commands, those that the broker has kept from before, and too many of them are refused and counted.
func SetTopic(prefix, device, camera, name string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/" + topicLevel(camera) + "/set/" + topicLevel(name)
}

// SetDelivery is how SetTopic is sent.
var SetDelivery = Delivery{QoS: 1, Retain: false}

// StateTopic: The value that each command has now: `detect`, `enabled`, `privacy`, `score`.
func StateTopic(prefix, device, camera, name string) string {
	return topicLevel(prefix) + "/" + topicLevel(device) + "/" + topicLevel(camera) + "/state/" + topicLevel(name)
}

// StateDelivery is how StateTopic is sent.
var StateDelivery = Delivery{QoS: 1, Retain: true}

// DiscoveryDeviceTopic: All entities for Home Assistant in one message, with `mqtt.discovery = "device"`; sent again when Home Assistant says `online`.
func DiscoveryDeviceTopic(device string) string {
	return "homeassistant/device/visavis_" + topicLevel(device) + "/config"
}

// DiscoveryDeviceDelivery is how DiscoveryDeviceTopic is sent.
var DiscoveryDeviceDelivery = Delivery{QoS: 1, Retain: true}

// DiscoveryComponentTopic: One entity for Home Assistant, with `mqtt.discovery = "component"`, for releases before 2024.11.
func DiscoveryComponentTopic(platform, device, object string) string {
	return "homeassistant/" + topicLevel(platform) + "/visavis_" + topicLevel(device) + "/" + topicLevel(object) + "/config"
}

// DiscoveryComponentDelivery is how DiscoveryComponentTopic is sent.
var DiscoveryComponentDelivery = Delivery{QoS: 1, Retain: true}

// HomeAssistantStatusTopic: What Home Assistant says when it starts and ends.
func HomeAssistantStatusTopic() string {
	return "homeassistant/status"
}

// HomeAssistantStatusDelivery is how HomeAssistantStatusTopic is sent.
var HomeAssistantStatusDelivery = Delivery{QoS: 1, Retain: false}

// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/mqtt_forms.toml by contracts/generate.py. DO NOT EDIT.

package mqtt

// FrigateAvailableTopic: Whether the device is there; `offline` is the last will, `stopped` an orderly end.
func FrigateAvailableTopic(prefix string) string {
	return topicLevel(prefix) + "/available"
}

// FrigateAvailableDelivery is how FrigateAvailableTopic is sent.
var FrigateAvailableDelivery = Delivery{QoS: 1, Retain: true}

// FrigateEventsTopic: `new`, `update` or `end` of one face, with what was before and after. Kept on disk until the broker has them.
func FrigateEventsTopic(prefix string) string {
	return topicLevel(prefix) + "/events"
}

// FrigateEventsDelivery is how FrigateEventsTopic is sent.
var FrigateEventsDelivery = Delivery{QoS: 1, Retain: false}

// FrigateStatsTopic: Figures, every minute.
func FrigateStatsTopic(prefix string) string {
	return topicLevel(prefix) + "/stats"
}

// FrigateStatsDelivery is how FrigateStatsTopic is sent.
var FrigateStatsDelivery = Delivery{QoS: 0, Retain: false}

// FrigateCountTopic: How many faces a camera or a zone shows, on change; the label is `face` or `all`.
func FrigateCountTopic(prefix, place, label string) string {
	return topicLevel(prefix) + "/" + topicLevel(place) + "/" + topicLevel(label)
}

// FrigateCountDelivery is how FrigateCountTopic is sent.
var FrigateCountDelivery = Delivery{QoS: 0, Retain: false}

// FrigateActiveTopic: The same: no face counts as standing still.
func FrigateActiveTopic(prefix, place, label string) string {
	return topicLevel(prefix) + "/" + topicLevel(place) + "/" + topicLevel(label) + "/active"
}

// FrigateActiveDelivery is how FrigateActiveTopic is sent.
var FrigateActiveDelivery = Delivery{QoS: 0, Retain: false}

// FrigateSnapshotTopic: Who appeared last, with the privacy of the camera; only with `snapshots = true`.
func FrigateSnapshotTopic(prefix, camera string) string {
	return topicLevel(prefix) + "/" + topicLevel(camera) + "/face/snapshot"
}

// FrigateSnapshotDelivery is how FrigateSnapshotTopic is sent.
var FrigateSnapshotDelivery = Delivery{QoS: 0, Retain: true}

// FrigateCameraStatusTopic: Whether the camera delivers.
func FrigateCameraStatusTopic(prefix, camera string) string {
	return topicLevel(prefix) + "/" + topicLevel(camera) + "/status/detect"
}

// FrigateCameraStatusDelivery is how FrigateCameraStatusTopic is sent.
var FrigateCameraStatusDelivery = Delivery{QoS: 0, Retain: false}

// SparkplugNodeTopic: The kinds NBIRTH, NDATA and NDEATH, which is the will, of the device as an edge node.
func SparkplugNodeTopic(group, kind, node string) string {
	return "spBv1.0/" + topicLevel(group) + "/" + topicLevel(kind) + "/" + topicLevel(node)
}

// SparkplugNodeDelivery is how SparkplugNodeTopic is sent.
var SparkplugNodeDelivery = Delivery{QoS: 0, Retain: false}

// SparkplugDeviceTopic: The kinds DBIRTH, DDATA and DDEATH of one camera.
func SparkplugDeviceTopic(group, kind, node, camera string) string {
	return "spBv1.0/" + topicLevel(group) + "/" + topicLevel(kind) + "/" + topicLevel(node) + "/" + topicLevel(camera)
}

// SparkplugDeviceDelivery is how SparkplugDeviceTopic is sent.
var SparkplugDeviceDelivery = Delivery{QoS: 0, Retain: false}

// SparkplugCommandTopic: `Node Control/Rebirth`, which makes everything be told again.
func SparkplugCommandTopic(group, node string) string {
	return "spBv1.0/" + topicLevel(group) + "/NCMD/" + topicLevel(node)
}

// SparkplugCommandDelivery is how SparkplugCommandTopic is sent.
var SparkplugCommandDelivery = Delivery{QoS: 0, Retain: false}

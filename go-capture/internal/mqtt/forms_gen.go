// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/mqtt_forms.toml by contracts/generate.py. DO NOT EDIT.

package mqtt

// FrigateAvailableTopic: Whether the device is there; `offline` is the last will, `stopped` an orderly end.
func FrigateAvailableTopic(prefix string) string {
	return topicLevel(prefix) + "/available"
}

// FrigateAvailableDelivery is how FrigateAvailableTopic is sent.
var FrigateAvailableDelivery = Delivery{QoS: 1, Retain: true}

// FrigateEventsTopic: `new`, `update` or `end` of one face, with its state before and after. Events are kept on disk until the broker has them.
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

// FrigateActiveTopic: The same number, since no face counts as standing still.
func FrigateActiveTopic(prefix, place, label string) string {
	return topicLevel(prefix) + "/" + topicLevel(place) + "/" + topicLevel(label) + "/active"
}

// FrigateActiveDelivery is how FrigateActiveTopic is sent.
var FrigateActiveDelivery = Delivery{QoS: 0, Retain: false}

// FrigateSnapshotTopic: The face that appeared last, with the camera's privacy; only with `snapshots = true`.
func FrigateSnapshotTopic(prefix, camera string) string {
	return topicLevel(prefix) + "/" + topicLevel(camera) + "/face/snapshot"
}

// FrigateSnapshotDelivery is how FrigateSnapshotTopic is sent.
var FrigateSnapshotDelivery = Delivery{QoS: 0, Retain: true}

// FrigateCameraStatusTopic: Whether the camera delivers; `disabled` while it is switched off.
func FrigateCameraStatusTopic(prefix, camera string) string {
	return topicLevel(prefix) + "/" + topicLevel(camera) + "/status/detect"
}

// FrigateCameraStatusDelivery is how FrigateCameraStatusTopic is sent.
var FrigateCameraStatusDelivery = Delivery{QoS: 0, Retain: false}

// SparkplugNbirthTopic: The device as an edge node, with all its metrics: when it connects and when it is asked.
func SparkplugNbirthTopic(group, node string) string {
	return "spBv1.0/" + topicLevel(group) + "/NBIRTH/" + topicLevel(node)
}

// SparkplugNbirthDelivery is how SparkplugNbirthTopic is sent.
var SparkplugNbirthDelivery = Delivery{QoS: 0, Retain: false}

// SparkplugNdataTopic: Figures of the node, every ten seconds.
func SparkplugNdataTopic(group, node string) string {
	return "spBv1.0/" + topicLevel(group) + "/NDATA/" + topicLevel(node)
}

// SparkplugNdataDelivery is how SparkplugNdataTopic is sent.
var SparkplugNdataDelivery = Delivery{QoS: 0, Retain: false}

// SparkplugNdeathTopic: The end of the node: the will, and what it says at an orderly end.
func SparkplugNdeathTopic(group, node string) string {
	return "spBv1.0/" + topicLevel(group) + "/NDEATH/" + topicLevel(node)
}

// SparkplugNdeathDelivery is how SparkplugNdeathTopic is sent.
var SparkplugNdeathDelivery = Delivery{QoS: 1, Retain: false}

// SparkplugDbirthTopic: A camera that delivers, with all its metrics.
func SparkplugDbirthTopic(group, node, camera string) string {
	return "spBv1.0/" + topicLevel(group) + "/DBIRTH/" + topicLevel(node) + "/" + topicLevel(camera)
}

// SparkplugDbirthDelivery is how SparkplugDbirthTopic is sent.
var SparkplugDbirthDelivery = Delivery{QoS: 0, Retain: false}

// SparkplugDdataTopic: What has changed at a camera, and each event.
func SparkplugDdataTopic(group, node, camera string) string {
	return "spBv1.0/" + topicLevel(group) + "/DDATA/" + topicLevel(node) + "/" + topicLevel(camera)
}

// SparkplugDdataDelivery is how SparkplugDdataTopic is sent.
var SparkplugDdataDelivery = Delivery{QoS: 0, Retain: false}

// SparkplugDdeathTopic: A camera that is lost or was taken away.
func SparkplugDdeathTopic(group, node, camera string) string {
	return "spBv1.0/" + topicLevel(group) + "/DDEATH/" + topicLevel(node) + "/" + topicLevel(camera)
}

// SparkplugDdeathDelivery is how SparkplugDdeathTopic is sent.
var SparkplugDdeathDelivery = Delivery{QoS: 0, Retain: false}

// SparkplugCommandTopic: `Node Control/Rebirth`, which asks for everything to be sent again.
func SparkplugCommandTopic(group, node string) string {
	return "spBv1.0/" + topicLevel(group) + "/NCMD/" + topicLevel(node)
}

// SparkplugCommandDelivery is how SparkplugCommandTopic is sent.
var SparkplugCommandDelivery = Delivery{QoS: 0, Retain: false}

// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestNoNameLeavesItsLevel draws any text at all as names: the levels stay as many, and none is a wildcard or empty.
func TestNoNameLeavesItsLevel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix, device := rapid.String().Draw(t, "prefix"), rapid.String().Draw(t, "device")
		camera, last := rapid.String().Draw(t, "camera"), rapid.String().Draw(t, "last")
		for topic, levels := range map[string]int{
			StatusTopic(prefix, device): 3, InfoTopic(prefix, device): 3, StatsTopic(prefix, device): 3, EventsTopic(prefix, device): 3,
			CameraStatusTopic(prefix, device, camera): 4, DetectionsTopic(prefix, device, camera): 4,
			FacesTopic(prefix, device, camera): 4, OccupiedTopic(prefix, device, camera): 4, SnapshotTopic(prefix, device, camera): 4,
			ZoneFacesTopic(prefix, device, camera, last): 6, ZoneOccupiedTopic(prefix, device, camera, last): 6,
			SetTopic(prefix, device, camera, last): 5, StateTopic(prefix, device, camera, last): 5,
			SparkplugDbirthTopic(last, device, camera): 5, SparkplugDdataTopic(last, device, camera): 5, SparkplugDdeathTopic(last, device, camera): 5,
			FrigateCountTopic(prefix, device, last): 3, FrigateActiveTopic(prefix, device, last): 4,
			FrigateSnapshotTopic(prefix, device): 4, FrigateCameraStatusTopic(prefix, device): 4,
		} {
			parts := strings.Split(topic, "/")
			if len(parts) != levels || strings.ContainsAny(topic, "+#\x00") || strings.Contains(topic, "//") {
				t.Fatalf("%q has %d levels, want %d", topic, len(parts), levels)
			}
			if parts[0] == "spBv1.0" {
				parts = []string{topicLevel(prefix), parts[3]} // the device stands behind the kind there
			}
			if parts[0] != topicLevel(prefix) || parts[1] != topicLevel(device) {
				t.Fatalf("%q left %q/%q", topic, prefix, device)
			}
		}
	})
}

func TestGoodNamesStandInTopicsAsTheyAre(t *testing.T) {
	if got := ZoneOccupiedTopic("visavis", "porch_1", "door-2", "step"); got != "visavis/porch_1/door-2/zone/step/occupied" {
		t.Error(got)
	}
}

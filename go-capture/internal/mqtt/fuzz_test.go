// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"strings"
	"testing"
)

// FuzzTopics: no name leaves its level: topics have as many levels as they should, and none is empty or holds a wildcard.
func FuzzTopics(f *testing.F) {
	f.Add("visavis", "porch", "door", "step")
	f.Add("", "a/b", "#", "+\x00")
	f.Fuzz(func(t *testing.T, prefix, device, camera, name string) {
		for topic, levels := range map[string]int{
			StatusTopic(prefix, device): 3, InfoTopic(prefix, device): 3, StatsTopic(prefix, device): 3, EventsTopic(prefix, device): 3,
			CameraStatusTopic(prefix, device, camera): 4, DetectionsTopic(prefix, device, camera): 4, FacesTopic(prefix, device, camera): 4,
			OccupiedTopic(prefix, device, camera): 4, SnapshotTopic(prefix, device, camera): 4,
			ZoneFacesTopic(prefix, device, camera, name): 6, ZoneOccupiedTopic(prefix, device, camera, name): 6,
			SetTopic(prefix, device, camera, name): 5, StateTopic(prefix, device, camera, name): 5,
		} {
			found := strings.Split(topic, "/")
			if len(found) != levels || strings.ContainsAny(topic, "+#\x00") || found[0] != topicLevel(prefix) || found[1] != topicLevel(device) {
				t.Errorf("%q has %d levels, not %d", topic, len(found), levels)
			}
			for _, level := range found {
				if level == "" {
					t.Errorf("%q has an empty level", topic)
				}
			}
		}
	})
}

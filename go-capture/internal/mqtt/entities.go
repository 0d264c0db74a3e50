// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"fmt"
	"slices"
	"strings"

	"visavis/capture/internal/showing"
)

// entity is one thing that Home Assistant shows. Its key is its name in topics and in the message about the device; all names of
// cameras and zones are of a-z 0-9 _ -, so nothing in a template comes from outside.
type entity struct {
	platform, key string
	body          map[string]any
}

const (
	expireS    = 35 // stats come every ten seconds; three may get lost
	scoreStep  = 0.01
	diagnostic = "diagnostic"
	forSetting = "config"

	visibleAtHome = "visible" // what showing.PrivacyNone is called in Home Assistant, to which `none` is a state that is not known
)

// entities are all that a device with these cameras has.
func (p *Publisher) entities(places []Place) []entity {
	made := p.deviceEntities()
	for _, place := range places {
		made = append(made, p.cameraEntities(place)...)
		for _, zone := range place.Zones {
			made = append(made, p.zoneEntities(place.Camera, zone)...)
		}
		if p.takesCommands() {
			made = append(made, p.controls(place)...)
		}
	}
	return made
}

func (p *Publisher) deviceEntities() []entity {
	prefix, device := p.settings.Prefix, p.settings.Device
	info, stats := InfoTopic(prefix, device), StatsTopic(prefix, device)
	made := []entity{
		p.entity("sensor", "version", map[string]any{"name": "version", "state_topic": info, "value_template": "{{ value_json.version }}",
			"entity_category": diagnostic, "icon": "mdi:tag"}),
		p.entity("update", "update", map[string]any{"name": "update", "state_topic": info, "title": "visavis",
			"value_template":  `{{ {"installed_version": value_json.version} | to_json }}`,
			"entity_category": diagnostic, "device_class": "firmware",
			"latest_version_topic": info, "latest_version_template": "{{ value_json.latest_version | default('') }}"}),
	}
	if p.settings.Temperature {
		made = append(made, p.entity("sensor", "temperature", map[string]any{"name": "temperature", "state_topic": stats,
			"value_template": "{{ value_json.temperature_c | default(none) }}", "device_class": "temperature", "unit_of_measurement": "°C",
			"state_class": "measurement", "entity_category": diagnostic, "expire_after": expireS}),
			p.entity("binary_sensor", "slowed", map[string]any{"name": "slowed by heat", "state_topic": info,
				"value_template": "{{ 'ON' if value_json.slowed else 'OFF' }}", "device_class": "heat", "entity_category": diagnostic}))
	}
	return made
}

func (p *Publisher) cameraEntities(place Place) []entity {
	prefix, device, c := p.settings.Prefix, p.settings.Device, place.Camera
	made := []entity{
		p.ofDetection(c, "sensor", c+"_faces", map[string]any{"name": c + " faces", "state_topic": FacesTopic(prefix, device, c),
			"state_class": "measurement", "icon": "mdi:face-recognition"}),
		p.ofDetection(c, "binary_sensor", c+"_occupied", map[string]any{"name": c + " occupied", "device_class": "occupancy",
			"state_topic": OccupiedTopic(prefix, device, c)}),
		p.figure(c, "fps", "fps_inferred", map[string]any{"unit_of_measurement": "fps", "icon": "mdi:speedometer"}),
		p.figure(c, "latency", "latency_ms_p50.total", map[string]any{"unit_of_measurement": "ms", "device_class": "duration"}),
	}
	if place.Pictures {
		made = append(made,
			p.ofCamera(c, "camera", c+"_picture", map[string]any{"name": c + " picture", "topic": SnapshotTopic(prefix, device, c)}),
			p.ofCamera(c, "image", c+"_last_face", map[string]any{"name": c + " last face", "image_topic": LastFaceTopic(prefix, device, c),
				"content_type": "image/jpeg"}))
	}
	return made
}

// figure is one number of the stats of a camera.
func (p *Publisher) figure(camera, name, path string, more map[string]any) entity {
	more["name"], more["state_topic"] = camera+" "+name, StatsTopic(p.settings.Prefix, p.settings.Device)
	more["value_template"] = "{{ value_json.cameras['" + camera + "']." + path + " }}"
	more["state_class"], more["entity_category"], more["expire_after"] = "measurement", diagnostic, expireS
	more["suggested_display_precision"] = 1
	return p.entity("sensor", camera+"_"+name, more)
}

func (p *Publisher) zoneEntities(camera, zone string) []entity {
	prefix, device := p.settings.Prefix, p.settings.Device
	key, name := camera+"_zone_"+zone, camera+" "+zone
	return []entity{
		p.ofDetection(camera, "sensor", key+"_faces", map[string]any{"name": name + " faces", "state_class": "measurement",
			"icon": "mdi:face-recognition", "state_topic": ZoneFacesTopic(prefix, device, camera, zone)}),
		p.ofDetection(camera, "binary_sensor", key+"_occupied", map[string]any{"name": name + " occupied", "device_class": "occupancy",
			"state_topic": ZoneOccupiedTopic(prefix, device, camera, zone)}),
	}
}

// controls are the commands of a camera. They are there while the camera is not: it may have been switched off.
func (p *Publisher) controls(place Place) []entity {
	c := place.Camera
	made := []entity{
		p.control(c, "switch", "enabled", map[string]any{"icon": "mdi:video"}),
		p.control(c, "switch", "detect", map[string]any{"icon": "mdi:face-recognition"}),
		p.control(c, "number", "score", map[string]any{"min": 0, "max": 1, "step": scoreStep, "mode": "slider", "icon": "mdi:tune"}),
	}
	if len(place.Privacies) > 0 {
		made = append(made, p.control(c, "select", "privacy", map[string]any{"options": privacyOptions(place), "icon": "mdi:incognito",
			"value_template":   fmt.Sprintf("{{ '%s' if value == '%s' else value }}", visibleAtHome, showing.PrivacyNone),
			"command_template": fmt.Sprintf("{{ '%s' if value == '%s' else value }}", showing.PrivacyNone, visibleAtHome)}))
	}
	if place.Pictures {
		made = append(made, p.ofCamera(c, "button", c+"_snapshot", map[string]any{"name": c + " snapshot", "payload_press": "press",
			"command_topic": SetTopic(p.settings.Prefix, p.settings.Device, c, "snapshot"), "icon": "mdi:camera"}))
	}
	return made
}

// privacyOptions are what may be commanded, and the one that is configured: a state that is no option is an error.
func privacyOptions(place Place) (options []string) {
	all := place.Privacies
	if place.Privacy != "" && !slices.Contains(all, place.Privacy) {
		all = append([]string{place.Privacy}, all...)
	}
	for _, one := range all {
		if one == showing.PrivacyNone {
			one = visibleAtHome
		}
		options = append(options, one)
	}
	return options
}

func (p *Publisher) control(camera, platform, name string, more map[string]any) entity {
	prefix, device := p.settings.Prefix, p.settings.Device
	more["name"], more["entity_category"] = camera+" "+name, forSetting
	more["command_topic"], more["state_topic"] = SetTopic(prefix, device, camera, name), StateTopic(prefix, device, camera, name)
	return p.entity(platform, camera+"_"+name, more)
}

// ofDetection is an entity that is only there while somebody looks for faces in what the camera shows.
func (p *Publisher) ofDetection(camera, platform, key string, body map[string]any) entity {
	prefix, device := p.settings.Prefix, p.settings.Device
	return p.whileOnline(platform, key, body, CameraStatusTopic(prefix, device, camera), DetectingTopic(prefix, device, camera))
}

// ofCamera is an entity that is only there while the camera is.
func (p *Publisher) ofCamera(camera, platform, key string, body map[string]any) entity {
	return p.whileOnline(platform, key, body, CameraStatusTopic(p.settings.Prefix, p.settings.Device, camera))
}

// whileOnline is an entity that is only there while these topics of the device say so too.
func (p *Publisher) whileOnline(platform, key string, body map[string]any, topics ...string) entity {
	body["availability"], body["availability_mode"] = p.availability(topics...), "all"
	return p.entity(platform, key, body)
}

func (p *Publisher) availability(also ...string) []map[string]any {
	all := []map[string]any{{"topic": StatusTopic(p.settings.Prefix, p.settings.Device)}}
	for _, topic := range also {
		all = append(all, map[string]any{"topic": topic})
	}
	return all
}

func (p *Publisher) entity(platform, key string, body map[string]any) entity {
	device := p.settings.Device
	body["unique_id"] = strings.Join([]string{"visavis", device, key}, "/")
	body["default_entity_id"] = platform + "." + strings.ReplaceAll(device+"_"+key, "-", "_")
	return entity{platform, key, body}
}

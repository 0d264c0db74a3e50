// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/openapi"
)

const eventsSummary = "Recent events, the same JSON as over MQTT: a page of them, or with `Accept: text/event-stream` a stream"

func (s *Server) eventsRoute() route {
	return route{pattern: "/api/v1/events", least: auth.Viewer, shows: OwnCameras, described: eventsOperation(), refuses: []int{http.StatusBadRequest, http.StatusServiceUnavailable}, documents: true, handle: s.events}
}

// eventsOperation describes the route in OpenAPI.
// unset is what a form sends for a field that nobody filled in.
var unset = object{"const": ""}

func eventsOperation() object {
	text := func(name, description string, schema object) object {
		schema["type"] = "string"
		return object{"name": name, "in": "query", "description": description, "schema": schema}
	}
	parameters := route{query: []parameter{limitParameter}}.parameters()
	parameters = append(parameters,
		text("since", "Events after the one with this id, or made at this time or later, the oldest first; 0 begins with the oldest. "+
			"Without it the newest events", object{"examples": []string{"01JDG3ZQ3N8XKZ5T0V4W2Y6R1C", "2026-11-24T20:00:00Z"},
			"anyOf": []object{{"pattern": since.String()}, {"format": "date-time"}, unset}}),
		text("camera", "Events of this camera", object{"anyOf": []object{{"pattern": auth.CameraID.String()}, unset}}),
		text("type", "Events of this type", object{"anyOf": []object{{"enum": eventTypes}, unset}}),
		object{"name": "Last-Event-ID", "in": "header", "description": "Of a stream: go on after this event", "schema": object{"type": "string"}},
	)
	return object{
		"summary": eventsSummary, "parameters": parameters,
		"responses": object{
			"200": object{"description": eventsSummary, "content": object{
				jsonType: object{"schema": eventsSchema()}, eventStreamType: object{"schema": object{"type": "string"}},
			}},
		},
	}
}

func eventsSchema() object {
	return object{"type": "object", "required": []string{"events", "next", "more"}, "properties": object{
		"events": object{"type": "array", "description": "By id, the oldest first", "items": openapi.SchemaOf("event")},
		"next":   object{"type": "string", "description": "Path and query of what follows, now or later"},
		"more":   object{"type": "boolean", "description": "Whether more follows already"},
	}}
}

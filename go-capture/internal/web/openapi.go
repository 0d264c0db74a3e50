// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/openapi"
	"visavis/capture/internal/problem"
)

// object is one JSON object of the OpenAPI document.
type object = openapi.Object

// openAPI describes the documented routes of the table, so that the document cannot differ from what is served.
func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) error {
	paths := object{}
	for _, one := range s.routes {
		if one.documents {
			paths[one.pattern] = object{one.verb(): s.described(one)}
		}
	}
	problem.WriteJSON(w, r, problem.Answer{ContentType: jsonType, Status: http.StatusOK, Body: object{
		"openapi": "3.1.0",
		"info": object{"title": "visavis", "version": s.settings.Version,
			"description": "Where faces are, never whose. Errors are problems as RFC 9457 describes them."},
		"paths": paths,
		"components": object{"schemas": json.RawMessage(answerSchemas), "responses": refusalComponents(), "securitySchemes": object{
			"token":   object{"type": "http", "scheme": "bearer"},
			"session": object{"type": "apiKey", "in": "cookie", "name": s.cookieName(r)},
		}},
	}})
	return nil
}

// described is the operation with its refusals, and with who may use it when that is not everybody.
func (s *Server) described(t route) object {
	operation := maps.Clone(t.operation())
	operation["responses"] = s.withRefusals(t, operation["responses"].(object))
	if s.guards(t) {
		operation["security"] = []object{{"token": []string{}}, {"session": []string{}}}
		operation["x-least-role"] = t.least.String()
	}
	return operation
}

func (t route) operation() object {
	if t.described != nil {
		return t.described
	}
	answers := object{"200": t.answer()}
	if t.tagged {
		answers["304"] = object{"description": "It is the one that If-None-Match names"}
	}
	operation := object{"summary": t.summary, "responses": answers}
	if t.upgrades {
		operation["responses"] = object{"101": object{"description": t.summary}}
		operation[messagesKey] = openapi.SchemaOf(t.schema)
	}
	if parameters := t.parameters(); len(parameters) > 0 {
		operation["parameters"] = parameters
	}
	return operation
}

// messagesKey holds the schema of a WebSocket's text messages, of which OpenAPI knows nothing.
const messagesKey = "x-messages"

// answer is the good one.
func (t route) answer() object {
	content, _, _ := strings.Cut(t.produces, ";")
	kind := object{}
	switch {
	case t.schema != "":
		kind["schema"] = openapi.SchemaOf(t.schema)
	case content == jsonType: // this document
		kind["schema"] = object{"type": "object"}
	case strings.HasPrefix(content, "text/"):
		kind["schema"] = object{"type": "string"}
	}
	return object{"description": t.summary, "content": object{content: kind}}
}

func (t route) parameters() []object {
	var parameters []object
	if strings.Contains(t.pattern, "{id}") {
		parameters = append(parameters, object{"name": "id", "in": "path", "required": true, "description": "Id of a camera",
			"schema": object{"type": "string", "pattern": auth.CameraID.String()}})
	}
	for _, p := range t.query {
		parameters = append(parameters, object{"name": p.name, "in": "query", "description": p.description,
			"schema": object{"type": p.kind, "minimum": p.least, "maximum": p.most}})
	}
	return parameters
}

// SPDX-License-Identifier: Apache-2.0

// Package openapi has the pieces of the OpenAPI document that the site and the gateway both describe their routes with.
package openapi

import "visavis/capture/internal/problem"

// Object is one JSON object of the document.
type Object = map[string]any

// SchemaOf refers to a schema of contracts/schemas.
func SchemaOf(name string) Object { return Object{"$ref": "#/components/schemas/" + name} }

// Problem is an answer with one.
func Problem(description string) Object {
	return Object{"description": description, "content": Object{problem.ContentType: Object{"schema": SchemaOf("problem")}}}
}

// Later is a problem that says when to come back.
func Later(description string) Object {
	retryAfter := Object{"required": true, "description": "Seconds", "schema": Object{"type": "integer", "minimum": 1}}
	return withHeader(Problem(description), "Retry-After", retryAfter)
}

// Upgrade is a problem that says what the connection has to become.
func Upgrade(description string) Object {
	return withHeader(Problem(description), "Upgrade", Object{"required": true, "schema": Object{"const": "websocket"}})
}

func withHeader(answer Object, name string, header Object) Object {
	answer["headers"] = Object{name: header}
	return answer
}

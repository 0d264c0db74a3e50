// SPDX-License-Identifier: Apache-2.0

package gateway

import "visavis/capture/internal/openapi"

// object is one JSON object of OpenAPI.
type object = openapi.Object

// DetectOperation describes POST /api/v1/detect.
func (g *Gateway) DetectOperation() map[string]any {
	return object{
		"summary": "Faces in one picture; EXIF's orientation is honoured, and boxes are in pixels of the upright picture",
		"parameters": []object{{"name": "anonymize", "in": "query", "schema": object{"type": "integer", "minimum": 0, "maximum": 1},
			"description": "1 answers the picture with its faces hidden"},
			{"name": "input", "in": "query", "schema": object{"enum": []string{"full"}},
				"description": "full looks at the picture in its own size, up to gateway.full_side: small faces are found, and it takes longer"}},
		"requestBody": object{"required": true, "content": object{
			jpegType: binarySchema(), pngType: binarySchema(), webpType: binarySchema(),
			jsonType: object{"schema": jsonBodySchema(g.settings.Score)},
		}},
		"responses": object{
			"200": object{"description": "The faces; with `Accept: image/jpeg` the picture with their boxes", "content": object{
				jsonType: object{"schema": openapi.SchemaOf("detected")}, jpegType: binarySchema(),
			}},
			"400": openapi.Problem("The request is malformed"), "408": openapi.Problem("The body came too slowly"),
			"413": openapi.Problem("Too many bytes or pixels"), "415": openapi.Problem("No picture type that is taken"),
			"422": openapi.Problem("Not a picture that can be decoded"), "429": openapi.Later("Too many pictures wait: see Retry-After"),
			"503": openapi.Later("No worker is ready, the one that has the picture is late, or the device stops: see Retry-After"),
		},
	}
}

// StreamOperation describes GET /api/v1/detect/stream.
func StreamOperation() map[string]any {
	return object{
		"summary": "WebSocket: each binary message is one picture, each answer one text message with `frame`, its index from 0. The newest " +
			"picture wins; those that it replaced are in `dropped_frames`. A picture without an answer gets a `problem` instead of `faces`",
		"x-messages": object{"anyOf": []object{openapi.SchemaOf("detected"), unansweredSchema()}},
		"responses": object{
			"101": object{"description": "The stream is open"}, "400": openapi.Problem("Opened as no WebSocket can be"),
			"426": openapi.Upgrade("Not opened as a WebSocket"), "429": openapi.Later("Too many streams are open: see Retry-After"),
			"503": openapi.Later("The device stops: see Retry-After"),
		},
	}
}

// PushOperation describes GET /api/v1/cameras/{id}/push.
func PushOperation() map[string]any {
	return object{
		"summary": "WebSocket: feeds a camera with `source = \"push:\"`. Each binary message is one picture (JPEG, PNG, WebP), each answer " +
			"one text message: `index` of the picture from 0, and the `frame` of the camera that it became, null when detect_fps wants none " +
			"now. Send the next picture after the answer; faster, and the newest wins: `dropped` names the others",
		"parameters": []object{{"name": "id", "in": "path", "required": true, "description": "Id of a push: camera",
			"schema": object{"type": "string", "pattern": "^[a-z0-9_-]{1,32}$"}}},
		"x-messages": openapi.SchemaOf("pushed"),
		"responses": object{
			"101": object{"description": "The camera is yours"}, "400": openapi.Problem("Opened as no WebSocket can be"),
			"404": openapi.Problem("There is no such push: camera"), "409": openapi.Problem("Another client feeds this camera"),
			"426": openapi.Upgrade("Not opened as a WebSocket"), "503": openapi.Later("The device stops: see Retry-After"),
		},
	}
}

func binarySchema() object { return object{"schema": object{"type": "string", "format": "binary"}} }

// base64Pattern is what base64 looks like, padding included.
const base64Pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

func jsonBodySchema(score float64) object {
	return object{"type": "object", "required": []string{"image"}, "additionalProperties": false, "properties": object{
		"image": object{"type": "string", "contentEncoding": "base64", "pattern": base64Pattern},
		"score": object{"description": "Least score of a face: detector.score, which is also meant by 0 and null, or more",
			"anyOf": []object{{"type": "number", "minimum": score, "maximum": 1}, {"enum": []any{0, nil}}}},
	}}
}

// unansweredSchema is what a stream answers about a picture in which it could not look for faces.
func unansweredSchema() object {
	index := object{"type": "integer", "minimum": 0}
	return object{"type": "object", "required": []string{"frame", "dropped_frames", "problem"}, "additionalProperties": false,
		"properties": object{"frame": index, "dropped_frames": object{"type": "array", "items": index}, "problem": openapi.SchemaOf("problem")}}
}

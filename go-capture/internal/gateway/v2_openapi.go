// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"maps"
	"slices"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/openapi"
	"visavis/capture/internal/openinference"
	"visavis/capture/internal/problem"
)

var v2Errors = map[string]string{
	"400": "The request is malformed", "404": "No such model", "408": "The body came too slowly", "413": "Too many bytes or pixels",
	"415": "No Content-Encoding that is taken", "422": "Not a picture that can be decoded", "429": "Too many pictures wait: see Retry-After",
	"503": "No worker is ready, or the deadline or the request's own timeout has passed: see Retry-After",
}

var (
	textSchema   = object{"type": "string"}
	truthSchema  = object{"type": "boolean"}
	tensorSchema = object{"name": textSchema, "datatype": textSchema, "shape": listOf(object{"type": "integer"})}
)

func listOf(schema object) object { return object{"type": "array", "items": schema} }

// exactly is an object that has all of these members.
func exactly(members object) object {
	return object{"type": "object", "required": slices.Sorted(maps.Keys(members)), "properties": members}
}

// orNull also takes null, which Go reads as nothing.
func orNull(schema object) object {
	schema["type"] = []any{schema["type"], "null"}
	return schema
}

func serverSchema() object {
	return exactly(object{"name": textSchema, "version": textSchema, "extensions": listOf(textSchema)})
}

func modelSchema() object {
	return exactly(object{"name": textSchema, "versions": listOf(textSchema), "platform": textSchema, "inputs": listOf(exactly(tensorSchema)),
		"outputs": listOf(exactly(tensorSchema))})
}

// v2Operation answers with the schema, and with the protocol's errors of these codes.
func v2Operation(summary string, schema object, codes ...string) object {
	responses := object{"200": object{"description": summary, "content": object{jsonType: object{"schema": schema}}}}
	for _, code := range codes {
		refused := object{}
		if code == "429" || code == "503" {
			refused = openapi.Later("")
		}
		refused["description"], refused["content"] = v2Errors[code], problem.InferenceContent()
		responses[code] = refused
	}
	return object{"summary": summary, "responses": responses}
}

// ofModel adds the names in the path.
func (g *Gateway) ofModel(path string, operation object) object {
	parameters := []object{{"name": "model", "in": "path", "required": true, "description": "The name in detector.model",
		"schema": object{"enum": []string{g.settings.Model}}}}
	if path == versionPath {
		parameters = append(parameters, object{"name": "version", "in": "path", "required": true, "description": "There is one",
			"schema": object{"enum": []string{openinference.Version}}})
	}
	operation["parameters"] = parameters
	return operation
}

const inferSummary = "Faces in one picture, as tensors of the Open Inference Protocol. Instead of `data`, tensors may stand behind the JSON, " +
	"whose length is then in " + openinference.HeaderLength + "; the body may be packed with gzip or deflate"

func (g *Gateway) inferOperation(path string) object {
	answered := exactly(object{"model_name": textSchema, "model_version": textSchema, "outputs": listOf(answeredTensor())})
	answered["properties"].(object)["id"] = textSchema
	operation := g.ofModel(path, v2Operation(inferSummary, answered, "400", "404", "408", "413", "415", "422", "429", "503"))
	operation["parameters"] = append(operation["parameters"].([]object), object{"name": openinference.HeaderLength, "in": "header",
		"description": "How many bytes of the body are JSON; without it all are", "schema": lengthSchema(openinference.JSONMost)})
	answer := operation["responses"].(object)["200"].(object)
	answer["content"].(object)[tensorsType] = binarySchema()
	answer["headers"] = object{openinference.HeaderLength: object{"description": "How many bytes are JSON, where tensors stand behind it",
		"schema": lengthSchema(openinference.JSONMost)}}
	operation["requestBody"] = object{"required": true, "content": object{
		jsonType: object{"schema": inferSchema(g.settings.Score)}, tensorsType: binarySchema()}}
	return operation
}

func lengthSchema(most int) object { return object{"type": "integer", "minimum": 0, "maximum": most} }

// answeredTensor has its data in the JSON, or says how many bytes of it stand behind.
func answeredTensor() object {
	behind := object{"type": "object", "required": []string{openinference.SizeParameter},
		"properties": object{openinference.SizeParameter: object{"type": "integer", "minimum": 0}}}
	tensor := exactly(object{"name": object{"enum": openinference.OutputNames()}, "datatype": object{"enum": []string{"FP32"}},
		"shape": listOf(object{"type": "integer", "minimum": 0})})
	tensor["properties"].(object)["parameters"] = behind
	tensor["properties"].(object)["data"] = listOf(object{"type": []string{"number", "null"}})
	tensor["oneOf"] = []object{{"required": []string{"data"}}, {"required": []string{"parameters"}}}
	return tensor
}

func inferSchema(score float64) object {
	inputs := listOf(object{"oneOf": []object{imageSchema(), pixelsSchema()}})
	inputs["minItems"], inputs["maxItems"] = 1, openinference.InputsMost
	parameters := orNull(object{"type": "object", "additionalProperties": false,
		"properties": object{openinference.BehindParameter: truthSchema, openinference.HintParameter: textSchema}})
	outputs := orNull(listOf(object{"type": "object", "required": []string{"name"}, "properties": object{
		"name": object{"enum": openinference.OutputNames()}, "parameters": parameters}}))
	outputs["maxItems"] = openinference.OutputsMost
	id := orNull(object{"type": "string", "maxLength": openinference.IDMost})
	return object{"type": "object", "required": []string{"inputs"}, "properties": object{
		"id": id, "parameters": optionsSchema(score), "inputs": inputs, "outputs": outputs}}
}

func optionsSchema(score float64) object {
	return orNull(object{"type": "object", "additionalProperties": false, "properties": object{
		"score":              object{"anyOf": []object{{"type": "number", "minimum": score, "maximum": 1}, {"enum": []any{0}}}},
		"timeout":            object{"type": "number", "minimum": 0, "maximum": int64(openinference.TimeoutMost), "description": "Microseconds"},
		"input":              object{"enum": []string{"full"}},
		"binary_data_output": truthSchema,
	}})
}

// given is an input whose data are in the JSON.
func given(name, datatype string, shape, data object) object {
	input := exactly(object{"name": object{"enum": []string{name}}, "datatype": object{"enum": []string{datatype}}, "shape": shape, "data": data})
	input["properties"].(object)["parameters"] = orNull(object{"type": "object", "additionalProperties": false,
		"properties": object{openinference.HintParameter: textSchema}})
	return input
}

func imageSchema() object {
	data := listOf(object{"type": "string", "contentEncoding": "base64", "pattern": base64Pattern})
	data["minItems"], data["maxItems"] = 1, 1
	return given("image", "BYTES", object{"enum": [][]int{{1}, {1, 1}}}, data)
}

func pixelsSchema() object {
	side := object{"type": "integer", "minimum": 1, "maximum": frame.SideMost}
	list := func(sides ...object) object {
		return object{"type": "array", "prefixItems": sides, "minItems": len(sides), "maxItems": len(sides)}
	}
	shape := object{"oneOf": []object{list(object{"enum": []int{1}}, side, side, object{"enum": []int{3}}), list(side, side, object{"enum": []int{3}})}}
	data := listOf(object{"type": "integer", "minimum": 0, "maximum": 255})
	data["minItems"] = 1
	return given("pixels", "UINT8", shape, data)
}

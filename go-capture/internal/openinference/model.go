// SPDX-License-Identifier: Apache-2.0

package openinference

const (
	// Version is the only version of the model that is served.
	Version  = "1"
	platform = "visavis_faces"

	imageName, pixelsName                 = "image", "pixels"
	boxesName, scoresName, landmarksName  = "boxes", "scores", "landmarks"
	bytesType, uint8Type, float32Type     = "BYTES", "UINT8", "FP32"
	boxSides, landmarkPoints, coordinates = 4, 5, 2
	channels                              = 3
)

// TensorMetadata describes a tensor; -1 is a side that varies.
type TensorMetadata struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

// Metadata describes the model.
type Metadata struct {
	Name     string           `json:"name"`
	Versions []string         `json:"versions"`
	Platform string           `json:"platform"`
	Inputs   []TensorMetadata `json:"inputs"`
	Outputs  []TensorMetadata `json:"outputs"`
}

// MetadataOf is that of every model here, whatever its network looks like: a request has one of the inputs.
func MetadataOf(model string) Metadata {
	return Metadata{
		Name: model, Versions: []string{Version}, Platform: platform,
		Inputs: []TensorMetadata{{imageName, bytesType, []int64{1}}, {pixelsName, uint8Type, []int64{1, -1, -1, channels}}},
		Outputs: []TensorMetadata{
			{boxesName, float32Type, []int64{-1, boxSides}}, {scoresName, float32Type, []int64{-1}},
			{landmarksName, float32Type, []int64{-1, landmarkPoints, coordinates}},
		},
	}
}

// OutputNames are those that a client may ask for.
func OutputNames() []string { return []string{boxesName, scoresName, landmarksName} }

// ServerMetadata describes the device.
type ServerMetadata struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
}

// ServerOf is that of a device with the version.
func ServerOf(version string) ServerMetadata {
	return ServerMetadata{Name: "visavis", Version: version, Extensions: []string{"binary_tensor_data"}}
}

// Serves tells whether a client that asks for the version, or for none, gets it.
func Serves(version string) bool { return version == "" || version == Version }

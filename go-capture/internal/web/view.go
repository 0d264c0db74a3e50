// SPDX-License-Identifier: Apache-2.0

package web

import (
	"visavis/capture/internal/engine"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/payload"
	"visavis/capture/internal/showing"
)

// View is what the page, the API and the metrics know about the rest of the appliance. Its methods are called from many
// goroutines, Privacy also from the hub's; none of them may wait for a camera, a worker or the broker.
type View interface {
	// Status returns the state of everything in one instant: for each camera the frames add up.
	Status() Status
	// Cameras returns the settings of the cameras in the order of the configuration.
	Cameras() []CameraSettings
	// Privacy returns what viewers of a camera may see, and whether there is such a camera.
	Privacy(camera string) (privacy string, known bool)
	// Stopping tells whether the device ends: it answers what it has, and a balancer should send nothing new.
	Stopping() bool
}

// EncodeJPEG draws and encodes a result's picture; it never changes the picture's pixels, which others hold too. What it returns may be
// the picture's own, and lasts no longer.
type EncodeJPEG func(result *hub.Result, style showing.Style) ([]byte, error)

// EncodeDetections writes the JSON that goes with a picture.
type EncodeDetections func(result *hub.Result) ([]byte, error)

// Status is the answer of /api/v1/status. View fills it, except for the fields that say so.
type Status struct {
	Device  string         `json:"device"`
	Version string         `json:"version"`
	Viewers int            `json:"viewers"` // filled by Server: streams open now
	Workers []Worker       `json:"workers"`
	Engine  *engine.State  `json:"engine,omitempty"` // while one is built, and when TensorRT cannot be used
	Thermal Thermal        `json:"thermal"`
	Broker  Broker         `json:"broker"`
	Brokers []OneBroker    `json:"brokers"` // the same of each
	Parts   []Part         `json:"parts"`   // that work beside all of these
	Clients Clients        `json:"clients"`
	Cameras []CameraStatus `json:"cameras"`
}

// Part is what works beside cameras, workers and brokers, such as what keeps the recent events on disk.
type Part struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"` // what is wrong with it now, and what is lost by that
}

// Worker is one connected inference worker.
type Worker struct {
	ID        uint32  `json:"id"`
	Name      string  `json:"name"`
	State     string  `json:"state"`
	Backend   string  `json:"backend"`
	Model     string  `json:"model"`
	Precision string  `json:"precision"` // "" when not known
	Fallback  bool    `json:"fallback"`  // on the CPU, because the GPU failed
	Frames    uint64  `json:"frames"`
	ServiceMs float64 `json:"service_ms"`
	Batch     float64 `json:"batch"`

	Server *ServerState `json:"server,omitempty"` // nil for a worker that has no model server
}

// ServerState is how the model server of a worker did since the worker started.
type ServerState struct {
	Losses      uint64 `json:"losses"`
	LocalFrames uint64 `json:"local_frames"` // inferred here instead
}

// Thermal is how hot the device is, and what that does.
type Thermal struct {
	TemperatureC *float64 `json:"temperature_c,omitempty"` // of the hottest zone that counts
	Slowed       bool     `json:"slowed"`                  // workers may not work all the time
	Share        float64  `json:"share"`                   // of their time in which they may, 0 to 1
}

// Clients counts the pictures that clients sent to be looked at: Received == Answered + the sum of Refused + Open.
type Clients struct {
	Received uint64            `json:"received"`
	Answered uint64            `json:"answered"`
	Refused  map[string]uint64 `json:"refused"` // by reason
	Open     uint64            `json:"open"`    // being read, waiting, decoded or inferred now
	Waiting  int               `json:"waiting"` // of these in line
	Streams  int               `json:"streams"` // open now
}

// Broker is the state of the connections to all brokers: connected if each is, and the sums of what waits. Enabled is false when the configuration turns MQTT off.
type Broker struct {
	Enabled       bool   `json:"enabled"`
	Connected     bool   `json:"connected"`
	Error         string `json:"error,omitempty"` // why it is not connected, with the remedy
	Outbox        int    `json:"outbox"`
	OutboxDropped uint64 `json:"outbox_dropped"`
	Orders        Orders `json:"orders"`
}

// OneBroker is one broker of them, called as its section of the configuration.
type OneBroker struct {
	Name          string `json:"name"`
	Connected     bool   `json:"connected"`
	Error         string `json:"error,omitempty"` // why it is not connected, with the remedy
	Outbox        int    `json:"outbox"`
	OutboxDropped uint64 `json:"outbox_dropped"`
}

// Orders counts the commands that came over MQTT since the start.
type Orders struct {
	Taken   bool              `json:"taken"` // mqtt.commands lets them in
	Obeyed  uint64            `json:"obeyed"`
	Refused map[string]uint64 `json:"refused"` // by reason
}

// Values of CameraStatus.State.
const (
	CameraStarting = "starting"
	CameraOnline   = "online"
	CameraLost     = "lost"
	CameraOff      = "off" // switched off by an order
)

// CameraStatus is one camera's part of the status.
type CameraStatus struct {
	ID          string             `json:"id"`
	State       string             `json:"state"`
	Error       string             `json:"error,omitempty"` // why the camera is lost, with the remedy
	Width       int                `json:"width"`
	Height      int                `json:"height"`
	FPS         float64            `json:"fps"`          // captured per second
	FPSInferred float64            `json:"fps_inferred"` // inferred per second
	Privacy     string             `json:"privacy"`      // as it is now
	Detect      bool               `json:"detect"`       // faces are to be looked for
	Detecting   bool               `json:"detecting"`    // and somebody does
	Score       float64            `json:"score"`        // the least of a face that is told
	Faces       int                `json:"faces"`
	Occupied    bool               `json:"occupied"`
	Zones       []ZoneStatus       `json:"zones"`
	Lines       []LineStatus       `json:"lines"`
	Frames      Frames             `json:"frames"`
	LatencyMs   map[string]Latency `json:"latency_ms"`     // by stage; "total" is from the camera to the result
	PictureAge  *float64           `json:"picture_age_ms"` // filled by Server: null until there is a picture
	PictureOld  float64            `json:"picture_old_ms"` // filled by Server: the age from which a picture is no longer "now"
	Viewers     ViewerFigures      `json:"viewers"`        // filled by Server
	USBResets   uint64             `json:"-"`              // of its USB device, because it hung: a metric, and its last one a part of Error
}

// ZoneStatus is a zone of a camera, and what it has seen since the camera was added.
type ZoneStatus struct {
	Name     string       `json:"name"`
	Polygon  [][2]float64 `json:"polygon"` // corners x, y: 0..1 of the picture
	Faces    int          `json:"faces"`   // that have entered and not left
	Occupied bool         `json:"occupied"`
	Entered  uint64       `json:"entered"`
	Left     uint64       `json:"left"`
}

// LineStatus is a line of a camera, and how often it was crossed since the camera was added.
type LineStatus struct {
	Name  string     `json:"name"`
	Start [2]float64 `json:"start"` // x, y: 0..1 of the picture
	End   [2]float64 `json:"end"`
	In    uint64     `json:"in"` // from left to right of who goes from Start to End on the picture
	Out   uint64     `json:"out"`
}

// Frames is the exact accounting of one camera: Captured == Inferred + InFlight + the sum of Dropped.
type Frames struct {
	Captured uint64          `json:"captured"`
	Inferred uint64          `json:"inferred"`
	InFlight uint64          `json:"in_flight"`
	Dropped  payload.Dropped `json:"dropped"`
}

// Latency is the spread of one stage over the last seconds, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// ViewerFigures counts the streams of one camera. A viewer that asked for fewer frames loses none by that.
type ViewerFigures struct {
	Now     int    `json:"now"`
	Sent    uint64 `json:"sent"`    // frames handed to viewers' connections
	Dropped uint64 `json:"dropped"` // frames that viewers missed because they or the encoder were slow
}

// CameraSettings is what a camera was configured with. Source is as everybody may see it.
type CameraSettings struct {
	ID        string  `json:"id"`
	Source    string  `json:"source"`
	Width     int     `json:"width"`
	Height    int     `json:"height"`
	FPS       float64 `json:"fps"`
	Rotate    int     `json:"rotate"`
	Privacy   string  `json:"privacy"`
	DetectFPS float64 `json:"detect_fps"`
}

// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/config.toml by contracts/generate.py. DO NOT EDIT.

package config

// Config is the whole effective configuration.
type Config struct {
	Device     Device     `toml:"device" json:"device"`
	Web        Web        `toml:"web" json:"web"`
	Auth       Auth       `toml:"auth" json:"auth"`
	MQTT       MQTT       `toml:"mqtt" json:"mqtt"`
	MQTTSecond MQTTSecond `toml:"mqtt_second" json:"mqtt_second"`
	Detector   Detector   `toml:"detector" json:"detector"`
	Worker     Worker     `toml:"worker" json:"worker"`
	Tracker    Tracker    `toml:"tracker" json:"tracker"`
	History    History    `toml:"history" json:"history"`
	Gateway    Gateway    `toml:"gateway" json:"gateway"`
	Thermal    Thermal    `toml:"thermal" json:"thermal"`
	Cameras    []Camera   `toml:"camera" json:"camera"`
}

// Device: What this machine is called.
type Device struct {
	// Name of this device in topics and on the page; if empty, the host name, with other characters than those allowed replaced.
	ID string `toml:"id" json:"id"`
}

// Web: The page and the HTTP API.
type Web struct {
	// Address and port of the page; port 0 takes a free one. Anything but loopback needs a section [auth].
	Listen string `toml:"listen" json:"listen"`
	// Further names and addresses under which a browser may ask for the page; the device's own names and addresses always may.
	Hosts []string `toml:"hosts" json:"hosts"`
	// Proxies in front of the device: what they say in X-Forwarded-For or the PROXY protocol, over gRPC too, about where a request comes from is believed, and in X-Forwarded-Host and X-Forwarded-Proto about the name that it asked for and whether its client encrypts. Let one do either: where it has spoken the PROXY protocol, its headers are not believed.
	Proxies []string `toml:"proxies" json:"proxies"`
	// Requests that get a line in the log: "refused" (status 400 and above, over gRPC all but OK; a flood of them thinned out), "all" or "none".
	LogRequests string `toml:"log_requests" json:"log_requests"`
	// Encrypt the page and the API: with web.cert and web.key, or with a certificate that the device makes for its own names.
	HTTPS bool `toml:"https" json:"https"`
	// File with the certificate of the page and those that signed it; it turns web.https on and is read again when it changes.
	Cert string `toml:"cert" json:"cert"`
	// File with the key of web.cert.
	Key string `toml:"key" json:"key"`
}

// Auth: Logins and tokens; `visavis auth` makes them.
type Auth struct {
	// Let nobody in without a login or a token. A section [auth] in a file means true unless it says false here.
	Enabled bool `toml:"enabled" json:"enabled"`
	// The credentials, hashes only, readable by their owner alone; credentials.toml in the state folder when it is empty.
	File string `toml:"file" json:"file"`
	// A login on the page ends when it was not used for this many hours.
	SessionIdleH int `toml:"session_idle_h" json:"session_idle_h"`
	// A login on the page ends after this many days in any case.
	SessionDays int `toml:"session_days" json:"session_days"`
	// File with the code, eight of A-Z 2-9 without I and O, by which the first administrator is made at /claim; it is valid once. Empty: a new code at each start, valid for 15 minutes.
	ClaimCodeFile string `toml:"claim_code_file" json:"claim_code_file"`
}

// MQTT: The broker that gets the detections.
type MQTT struct {
	// mqtt://host:port, mqtts://host:port, or through a WebSocket ws://host:port/path, wss://host:port/path; "managed" lets `visavis run` start mosquitto itself; "" turns MQTT off.
	URL string `toml:"url" json:"url"`
	// First level of every topic.
	Prefix string `toml:"prefix" json:"prefix"`
	// How Home Assistant is told about the entities.
	Discovery string `toml:"discovery" json:"discovery"`
	// Obey the topics `set/<name>`: "auto" does where mqtt.user or mqtt.cert is set, or the broker runs on this machine; "on" trusts everybody who can publish.
	Commands string `toml:"commands" json:"commands"`
	// Forms in which this broker is told: the topics of docs/reference/mqtt.md, those of Frigate, Sparkplug B. Each has a connection of its own.
	Formats []string `toml:"formats" json:"formats"`
	// First level of the topics in Frigate's form; not that of our own, and another one for each device at the same broker.
	FrigatePrefix string `toml:"frigate_prefix" json:"frigate_prefix"`
	// Group of the edge node in Sparkplug B; the node is device.id, and each camera is a device of it.
	SparkplugGroup string `toml:"sparkplug_group" json:"sparkplug_group"`
	// User name at the broker.
	User string `toml:"user" json:"user"`
	// File that holds the password of mqtt.user and nothing else, or credential:NAME of systemd; it is read again at each connection.
	PasswordFile string `toml:"password_file" json:"password_file"`
	// File with the certificates that may sign the broker's; the system's when it is empty.
	CA string `toml:"ca" json:"ca"`
	// File with the client certificate.
	Cert string `toml:"cert" json:"cert"`
	// File with the key of mqtt.cert.
	Key string `toml:"key" json:"key"`
}

// MQTTSecond: A second broker that gets the same as the first; neither waits for the other.
type MQTTSecond struct {
	// Like mqtt.url, but not "managed"; "" means that there is no second broker.
	URL string `toml:"url" json:"url"`
	// First level of every topic.
	Prefix string `toml:"prefix" json:"prefix"`
	// How Home Assistant is told about the entities.
	Discovery string `toml:"discovery" json:"discovery"`
	// Obey the topics `set/<name>`: "auto" does where mqtt_second.user or mqtt_second.cert is set, or the broker runs on this machine; "on" trusts everybody who can publish.
	Commands string `toml:"commands" json:"commands"`
	// Forms in which this broker is told: the topics of docs/reference/mqtt.md, those of Frigate, Sparkplug B. Each has a connection of its own.
	Formats []string `toml:"formats" json:"formats"`
	// First level of the topics in Frigate's form; not that of our own, and another one for each device at the same broker.
	FrigatePrefix string `toml:"frigate_prefix" json:"frigate_prefix"`
	// Group of the edge node in Sparkplug B; the node is device.id, and each camera is a device of it.
	SparkplugGroup string `toml:"sparkplug_group" json:"sparkplug_group"`
	// User name at the broker.
	User string `toml:"user" json:"user"`
	// File that holds the password of mqtt_second.user and nothing else, or credential:NAME of systemd; it is read again at each connection.
	PasswordFile string `toml:"password_file" json:"password_file"`
	// File with the certificates that may sign the broker's; the system's when it is empty.
	CA string `toml:"ca" json:"ca"`
	// File with the client certificate.
	Cert string `toml:"cert" json:"cert"`
	// File with the key of mqtt_second.cert.
	Key string `toml:"key" json:"key"`
}

// Detector: The model, and what runs it.
type Detector struct {
	// A name in models/onnx/manifest.toml, or "auto": what `visavis model bench` recommended on this machine, at its input, threads and precision where these are not set. Of more than 20 characters the status and messages may show only the first.
	Model string `toml:"model" json:"model"`
	// What runs the model: "auto" takes the first of tensorrt and onnxruntime that works; "fake" invents detections, for tests.
	Backend string `toml:"backend" json:"backend"`
	// Number format of the network.
	Precision string `toml:"precision" json:"precision"`
	// Width and height of the network's input in pixels. For the model "auto" the recommended ones, where no file and no variable sets it; a model server (kserve) has its own.
	Input [2]int `toml:"input" json:"input"`
	// How many workers `visavis run` starts; `visavis workers N` changes it while it runs. Others may join, up to 16 in all.
	Workers int `toml:"workers" json:"workers"`
	// Threads of each worker; 0 divides the cores among the workers, 16 for each at most; the model "auto" gets no more than were recommended for its input and precision.
	Threads int `toml:"threads" json:"threads"`
	// The least score of a face that is told. The tracker also gets faces down to a third of it, to continue a track.
	Score float64 `toml:"score" json:"score"`
	// Two boxes that overlap by more than this are one face.
	IoU float64 `toml:"iou" json:"iou"`
	// http(s):// or grpc(s):// address of the model server when backend is "kserve"; the model's name there is detector.model.
	KServeURL string `toml:"kserve_url" json:"kserve_url"`
	// File with the certificates that may sign the model server's; the system's when it is empty.
	KServeCA string `toml:"kserve_ca" json:"kserve_ca"`
	// File that holds the bearer token for the model server and nothing else; it is read again for each request.
	KServeTokenFile string `toml:"kserve_token_file" json:"kserve_token_file"`
	// A frame that the model server has not answered after this time is inferred here; at most half of worker.lease_ms and of gateway.deadline_ms.
	KServeDeadlineMs int `toml:"kserve_deadline_ms" json:"kserve_deadline_ms"`
}

// Worker: The hand-off of frames to workers.
type Worker struct {
	// Unix socket where workers connect.
	Socket string `toml:"socket" json:"socket"`
	// A worker that holds a frame for longer loses its connection.
	LeaseMs int `toml:"lease_ms" json:"lease_ms"`
	// Frames that one worker may hold at a time. A backend that takes batches (tensorrt, kserve) infers them together; with others more than 1 gains nothing. Another number needs another engine.
	Credit int `toml:"credit" json:"credit"`
	// How long a frame waits for others, to make a batch of up to worker.credit. With 0 nothing waits: a batch is whatever came while the previous one was inferred.
	BatchWindowMs float64 `toml:"batch_window_ms" json:"batch_window_ms"`
	// Let the GPU read a frame where the daemon wrote it, where backend tensorrt and the GPU's driver can; else the worker copies it for the GPU first. It keeps all of a camera's ring in memory.
	RegisterRing bool `toml:"register_ring" json:"register_ring"`
}

// Tracker: How faces are followed from frame to frame.
type Tracker struct {
	// The least score of a face that begins a track, unless detector.score is higher. A face with less only continues a track.
	Score float64 `toml:"score" json:"score"`
	// A face is believed when this many of hits + 2 inferred frames have shown it.
	Hits int `toml:"hits" json:"hits"`
	// A face that was not seen for this long is gone; after three frame times, if that is longer.
	LostMs int `toml:"lost_ms" json:"lost_ms"`
}

// History: Events that the device keeps for those who ask later. What goes to the broker does not depend on it.
type History struct {
	// An event is kept for this many days at most.
	Days int `toml:"days" json:"days"`
	// The most space on the disk, in MiB; 16 hold about 40,000 events.
	Mb int `toml:"mb" json:"mb"`
	// The most space on the disk, in MiB, for small pictures of those who appear, faces hidden as the camera's privacy says; 0 keeps no picture.
	ThumbnailsMb int `toml:"thumbnails_mb" json:"thumbnails_mb"`
}

// Gateway: Pictures that clients send: how large, how many, and how long they may wait.
type Gateway struct {
	// A picture is refused when it would wait longer than this; on a slow machine, three times the detector's own time counts instead.
	DeadlineMs int `toml:"deadline_ms" json:"deadline_ms"`
	// Pictures that may wait at once, of all clients together.
	Queue int `toml:"queue" json:"queue"`
	// Pictures of one client that may wait at once: of a login or token, and without one of an address.
	QueuePerClient int `toml:"queue_per_client" json:"queue_per_client"`
	// Share of the workers' time for clients: the most they get while a camera's frame is waiting, and the least while cameras leave no pause.
	Share float64 `toml:"share" json:"share"`
	// The largest encoded picture, in MiB.
	PictureMb int `toml:"picture_mb" json:"picture_mb"`
	// Memory in MiB that the decoding of all clients' pictures together may take; a picture that alone needs more is refused.
	DecodeMb int `toml:"decode_mb" json:"decode_mb"`
	// WebSockets at /api/v1/detect/stream and gRPC streams that may be open at once; one login may have three quarters of them.
	Streams int `toml:"streams" json:"streams"`
	// Pictures a second from one address on average; twice as many may come at once. 0 sets no limit.
	Rate float64 `toml:"rate" json:"rate"`
	// The same from one login or token, wherever it sends from.
	AccountRate float64 `toml:"account_rate" json:"account_rate"`
	// Address and port of the Open Inference Protocol over gRPC; empty serves it over HTTP alone. Anything but loopback needs a section [auth]; `web.https` encrypts it too.
	GrpcListen string `toml:"grpc_listen" json:"grpc_listen"`
	// Longest side in pixels of pictures that `?input=full` looks at in their own size; larger ones are drawn smaller. 0 takes none.
	FullSide int `toml:"full_side" json:"full_side"`
}

// Thermal: A device that gets too hot looks for faces less often, until it is cool again; see docs/design/thermal.md.
type Thermal struct {
	// From this temperature in °C upwards inference is slowed, a little more every two seconds; 0 never slows it.
	ThrottleAtC float64 `toml:"throttle_at_c" json:"throttle_at_c"`
	// From this temperature in °C downwards it becomes faster again, just as slowly; between the two it stays as it is.
	ResumeAtC float64 `toml:"resume_at_c" json:"resume_at_c"`
	// Types of the kernel's thermal zones that count, the hottest of them; by default those of a Raspberry Pi and of a Jetson. A PC's is x86_pkg_temp.
	Zones []string `toml:"zones" json:"zones"`
	// Where the kernel shows its thermal zones.
	Folder string `toml:"folder" json:"folder"`
}

// Camera: One table for each camera; without any, a demo of 640 x 480 plays. With `camera = []` there is none, and the device serves only clients.
type Camera struct {
	// Name of the camera in topics and on the page.
	ID string `toml:"id" json:"id"`
	// v4l2:/dev/..., csi:0 (the sensor's number), rtsp://..., rtsps://..., file:clip.mp4 (loops), demo: or push: (a client sends them). A network camera that takes its login in the address has {user} and {password} there.
	Source string `toml:"source" json:"source"`
	// User name at an rtsp:// or rtsps:// camera.
	User string `toml:"user" json:"user"`
	// File that holds the password of the camera's user and nothing else.
	PasswordFile string `toml:"password_file" json:"password_file"`
	// Width and height in pixels that the camera is asked for; it may give the nearest it has. For a push: camera, the largest size that is kept.
	Size [2]int `toml:"size" json:"size"`
	// Pictures a second that the camera is asked for, or that a push: camera's client sends.
	FPS float64 `toml:"fps" json:"fps"`
	// Degrees by which each picture is turned clockwise.
	Rotate int `toml:"rotate" json:"rotate"`
	// What viewers and snapshots see of a face.
	Privacy string `toml:"privacy" json:"privacy"`
	// What the MQTT command privacy may choose. With "none" in it, whoever may send commands can make faces visible.
	PrivacyAllowed []string `toml:"privacy_allowed" json:"privacy_allowed"`
	// The most pictures a second that are given to the detector; 0 sets no limit.
	DetectFPS float64 `toml:"detect_fps" json:"detect_fps"`
	// Publish pictures over MQTT, with the camera's privacy applied: when somebody appears, and at the command snapshot.
	Snapshots bool `toml:"snapshots" json:"snapshots"`
	// How a v4l2 camera is read: `direct` (the kernel's own interface), `opencv`, or `auto`: direct, and OpenCV for pixel formats that direct does not know.
	Reader string `toml:"reader" json:"reader"`
	// Format that a v4l2 camera is asked for.
	PixelFormat string `toml:"pixel_format" json:"pixel_format"`
	// What reads a csi camera: libcamera (Raspberry Pi) or argus (Jetson).
	CSIDriver string `toml:"csi_driver" json:"csi_driver"`
	// Faces whose shorter side has fewer pixels of the camera's picture are not followed or counted; viewers still see them anonymised.
	MinFace int `toml:"min_face" json:"min_face"`
	// Parts of the picture, each a polygon like a zone's, where faces are not followed or counted; viewers still see them anonymised.
	Masks [][][2]float64 `toml:"masks" json:"masks"`
	// Somebody must be at the camera for this long before it counts as occupied.
	OnDelayMs int `toml:"on_delay_ms" json:"on_delay_ms"`
	// Nobody must be at the camera for this long before it counts as empty.
	OffDelayMs int `toml:"off_delay_ms" json:"off_delay_ms"`
	// Lines over which faces are counted, each with the keys of a line.
	Lines []Line `toml:"lines" json:"lines"`
	// Parts of the picture that are watched separately, each with the keys of a zone.
	Zones []Zone `toml:"zones" json:"zones"`
}

// Zone: One part of a camera's picture, inside `zones`.
type Zone struct {
	// Name of the zone in topics.
	Name string `toml:"name" json:"name"`
	// At least three corners [x, y] as parts of the picture, 0 to 1, origin top left; edges must not cross. A face is inside when the middle of its box is.
	Polygon [][2]float64 `toml:"polygon" json:"polygon"`
	// A face must stay this long before it has entered.
	MinDwellMs int `toml:"min_dwell_ms" json:"min_dwell_ms"`
	// Somebody must be in the zone for this long before it counts as occupied.
	OnDelayMs int `toml:"on_delay_ms" json:"on_delay_ms"`
	// Nobody must be in the zone for this long before it counts as empty.
	OffDelayMs int `toml:"off_delay_ms" json:"off_delay_ms"`
}

// Line: One line across a camera's picture, inside `lines`. Going from its start to its end on the picture, a face that passes from your left to your right goes in, the other way out.
type Line struct {
	// Name of the line in events; no zone of the camera may have it.
	Name string `toml:"name" json:"name"`
	// Where the line begins, [x, y] as parts of the picture.
	Start [2]float64 `toml:"start" json:"start"`
	// Where it ends.
	End [2]float64 `toml:"end" json:"end"`
}

func defaults() Config {
	return Config{
		Device:     Device{ID: ""},
		Web:        Web{Listen: "127.0.0.1:8080", Hosts: []string{}, Proxies: []string{}, LogRequests: "refused", HTTPS: false, Cert: "", Key: ""},
		Auth:       Auth{Enabled: false, File: "", SessionIdleH: 24, SessionDays: 30, ClaimCodeFile: ""},
		MQTT:       MQTT{URL: "mqtt://127.0.0.1:1883", Prefix: "visavis", Discovery: "device", Commands: "auto", Formats: []string{"native"}, FrigatePrefix: "frigate", SparkplugGroup: "visavis", User: "", PasswordFile: "", CA: "", Cert: "", Key: ""},
		MQTTSecond: MQTTSecond{URL: "", Prefix: "visavis", Discovery: "off", Commands: "auto", Formats: []string{"native"}, FrigatePrefix: "frigate", SparkplugGroup: "visavis", User: "", PasswordFile: "", CA: "", Cert: "", Key: ""},
		Detector:   Detector{Model: "centerface", Backend: "auto", Precision: "auto", Input: [2]int{640, 480}, Workers: 1, Threads: 0, Score: 0.5, IoU: 0.3, KServeURL: "", KServeCA: "", KServeTokenFile: "", KServeDeadlineMs: 120},
		Worker:     Worker{Socket: "/run/visavis/frames.sock", LeaseMs: 2000, Credit: 1, BatchWindowMs: 0, RegisterRing: false},
		Tracker:    Tracker{Score: 0.5, Hits: 3, LostMs: 1000},
		History:    History{Days: 30, Mb: 16, ThumbnailsMb: 0},
		Gateway:    Gateway{DeadlineMs: 250, Queue: 64, QueuePerClient: 16, Share: 0.5, PictureMb: 16, DecodeMb: 48, Streams: 64, Rate: 1000.0, AccountRate: 1000.0, GrpcListen: "", FullSide: 1920},
		Thermal:    Thermal{ThrottleAtC: 78.0, ResumeAtC: 72.0, Zones: []string{"cpu-thermal", "gpu-thermal", "tj-thermal", "CPU-therm", "GPU-therm"}, Folder: "/sys/class/thermal"},
	}
}

func defaultCamera() Camera {
	return Camera{ID: "", Source: "", User: "", PasswordFile: "", Size: [2]int{1280, 720}, FPS: 30.0, Rotate: 0, Privacy: "pixelate", PrivacyAllowed: []string{}, DetectFPS: 0.0, Snapshots: false, Reader: "auto", PixelFormat: "auto", CSIDriver: "auto", MinFace: 0, Masks: [][][2]float64{}, OnDelayMs: 0, OffDelayMs: 2000, Lines: []Line{}, Zones: []Zone{}}
}

func defaultZone() Zone {
	return Zone{Name: "", Polygon: [][2]float64{}, MinDwellMs: 0, OnDelayMs: 0, OffDelayMs: 2000}
}

func defaultLine() Line {
	return Line{Name: "", Start: [2]float64{}, End: [2]float64{}}
}

// sectionKeys are the keys of the tables that stand once in a file.
var sectionKeys = map[string][]key[Config]{
	"device": {
		{rule{name: "id", kind: kindString, pattern: `^[a-z0-9_-]{0,32}$`, says: "1 to 32 characters of a-z 0-9 _ -"}, func(into *Config, value any) { into.Device.ID = value.(string) }},
	},
	"web": {
		{rule{name: "listen", kind: kindString, format: "listen", filled: "127.0.0.1:8080"}, func(into *Config, value any) { into.Web.Listen = value.(string) }},
		{rule{name: "hosts", kind: kindStrings, format: "host", says: "a host name or an IP address, without scheme, port and brackets", filled: "porch.example.org"}, func(into *Config, value any) { into.Web.Hosts = value.([]string) }},
		{rule{name: "proxies", kind: kindStrings, format: "network", says: "an address, or a network such as 10.0.0.0/8", filled: "10.0.0.5"}, func(into *Config, value any) { into.Web.Proxies = value.([]string) }},
		{rule{name: "log_requests", kind: kindString, choices: []any{"refused", "all", "none"}, filled: "refused"}, func(into *Config, value any) { into.Web.LogRequests = value.(string) }},
		{rule{name: "https", kind: kindBool}, func(into *Config, value any) { into.Web.HTTPS = value.(bool) }},
		{rule{name: "cert", kind: kindString, format: "readable_file"}, func(into *Config, value any) { into.Web.Cert = value.(string) }},
		{rule{name: "key", kind: kindString, format: "readable_file", secret: true}, func(into *Config, value any) { into.Web.Key = value.(string) }},
	},
	"auth": {
		{rule{name: "enabled", kind: kindBool}, func(into *Config, value any) { into.Auth.Enabled = value.(bool) }},
		{rule{name: "file", kind: kindString, format: "path"}, func(into *Config, value any) { into.Auth.File = value.(string) }},
		{rule{name: "session_idle_h", kind: kindInt, limits: &[2]float64{1, 8760}}, func(into *Config, value any) { into.Auth.SessionIdleH = value.(int) }},
		{rule{name: "session_days", kind: kindInt, limits: &[2]float64{1, 365}}, func(into *Config, value any) { into.Auth.SessionDays = value.(int) }},
		{rule{name: "claim_code_file", kind: kindString, format: "path", secret: true}, func(into *Config, value any) { into.Auth.ClaimCodeFile = value.(string) }},
	},
	"mqtt": {
		{rule{name: "url", kind: kindString, format: "mqtt_url"}, func(into *Config, value any) { into.MQTT.URL = value.(string) }},
		{rule{name: "prefix", kind: kindString, pattern: `^[a-z0-9_-]{1,32}$`, says: "1 to 32 characters of a-z 0-9 _ -", filled: "visavis"}, func(into *Config, value any) { into.MQTT.Prefix = value.(string) }},
		{rule{name: "discovery", kind: kindString, choices: []any{"device", "component", "off"}, filled: "device"}, func(into *Config, value any) { into.MQTT.Discovery = value.(string) }},
		{rule{name: "commands", kind: kindString, choices: []any{"auto", "on", "off"}, filled: "auto"}, func(into *Config, value any) { into.MQTT.Commands = value.(string) }},
		{rule{name: "formats", kind: kindStrings, choices: []any{"native", "frigate", "sparkplug"}, filled: "native"}, func(into *Config, value any) { into.MQTT.Formats = value.([]string) }},
		{rule{name: "frigate_prefix", kind: kindString, pattern: `^[a-z0-9_-]{1,32}$`, says: "1 to 32 characters of a-z 0-9 _ -", filled: "frigate"}, func(into *Config, value any) { into.MQTT.FrigatePrefix = value.(string) }},
		{rule{name: "sparkplug_group", kind: kindString, pattern: `^[a-z0-9_-]{1,32}$`, says: "1 to 32 characters of a-z 0-9 _ -", filled: "visavis"}, func(into *Config, value any) { into.MQTT.SparkplugGroup = value.(string) }},
		{rule{name: "user", kind: kindString}, func(into *Config, value any) { into.MQTT.User = value.(string) }},
		{rule{name: "password_file", kind: kindString, format: "readable_file", secret: true}, func(into *Config, value any) { into.MQTT.PasswordFile = value.(string) }},
		{rule{name: "ca", kind: kindString, format: "readable_file"}, func(into *Config, value any) { into.MQTT.CA = value.(string) }},
		{rule{name: "cert", kind: kindString, format: "readable_file"}, func(into *Config, value any) { into.MQTT.Cert = value.(string) }},
		{rule{name: "key", kind: kindString, format: "readable_file", secret: true}, func(into *Config, value any) { into.MQTT.Key = value.(string) }},
	},
	"mqtt_second": {
		{rule{name: "url", kind: kindString, format: "mqtt_url"}, func(into *Config, value any) { into.MQTTSecond.URL = value.(string) }},
		{rule{name: "prefix", kind: kindString, pattern: `^[a-z0-9_-]{1,32}$`, says: "1 to 32 characters of a-z 0-9 _ -", filled: "visavis"}, func(into *Config, value any) { into.MQTTSecond.Prefix = value.(string) }},
		{rule{name: "discovery", kind: kindString, choices: []any{"device", "component", "off"}, filled: "off"}, func(into *Config, value any) { into.MQTTSecond.Discovery = value.(string) }},
		{rule{name: "commands", kind: kindString, choices: []any{"auto", "on", "off"}, filled: "auto"}, func(into *Config, value any) { into.MQTTSecond.Commands = value.(string) }},
		{rule{name: "formats", kind: kindStrings, choices: []any{"native", "frigate", "sparkplug"}, filled: "native"}, func(into *Config, value any) { into.MQTTSecond.Formats = value.([]string) }},
		{rule{name: "frigate_prefix", kind: kindString, pattern: `^[a-z0-9_-]{1,32}$`, says: "1 to 32 characters of a-z 0-9 _ -", filled: "frigate"}, func(into *Config, value any) { into.MQTTSecond.FrigatePrefix = value.(string) }},
		{rule{name: "sparkplug_group", kind: kindString, pattern: `^[a-z0-9_-]{1,32}$`, says: "1 to 32 characters of a-z 0-9 _ -", filled: "visavis"}, func(into *Config, value any) { into.MQTTSecond.SparkplugGroup = value.(string) }},
		{rule{name: "user", kind: kindString}, func(into *Config, value any) { into.MQTTSecond.User = value.(string) }},
		{rule{name: "password_file", kind: kindString, format: "readable_file", secret: true}, func(into *Config, value any) { into.MQTTSecond.PasswordFile = value.(string) }},
		{rule{name: "ca", kind: kindString, format: "readable_file"}, func(into *Config, value any) { into.MQTTSecond.CA = value.(string) }},
		{rule{name: "cert", kind: kindString, format: "readable_file"}, func(into *Config, value any) { into.MQTTSecond.Cert = value.(string) }},
		{rule{name: "key", kind: kindString, format: "readable_file", secret: true}, func(into *Config, value any) { into.MQTTSecond.Key = value.(string) }},
	},
	"detector": {
		{rule{name: "model", kind: kindString, pattern: `^[a-z0-9][a-z0-9._-]{0,63}$`, says: "the name of a model, 1 to 64 characters of a-z 0-9 . _ -", filled: "centerface"}, func(into *Config, value any) { into.Detector.Model = value.(string) }},
		{rule{name: "backend", kind: kindString, choices: []any{"auto", "tensorrt", "onnxruntime", "kserve", "fake"}, filled: "auto"}, func(into *Config, value any) { into.Detector.Backend = value.(string) }},
		{rule{name: "precision", kind: kindString, choices: []any{"auto", "fp32", "fp16", "int8"}, filled: "auto"}, func(into *Config, value any) { into.Detector.Precision = value.(string) }},
		{rule{name: "input", kind: kindSize, limits: &[2]float64{32, 1920}}, func(into *Config, value any) { into.Detector.Input = value.([2]int) }},
		{rule{name: "workers", kind: kindInt, limits: &[2]float64{1, 16}}, func(into *Config, value any) { into.Detector.Workers = value.(int) }},
		{rule{name: "threads", kind: kindInt, limits: &[2]float64{0, 256}}, func(into *Config, value any) { into.Detector.Threads = value.(int) }},
		{rule{name: "score", kind: kindFloat, limits: &[2]float64{0, 1}}, func(into *Config, value any) { into.Detector.Score = value.(float64) }},
		{rule{name: "iou", kind: kindFloat, limits: &[2]float64{0, 1}}, func(into *Config, value any) { into.Detector.IoU = value.(float64) }},
		{rule{name: "kserve_url", kind: kindString, format: "kserve_url"}, func(into *Config, value any) { into.Detector.KServeURL = value.(string) }},
		{rule{name: "kserve_ca", kind: kindString, format: "readable_file"}, func(into *Config, value any) { into.Detector.KServeCA = value.(string) }},
		{rule{name: "kserve_token_file", kind: kindString, format: "readable_file", secret: true}, func(into *Config, value any) { into.Detector.KServeTokenFile = value.(string) }},
		{rule{name: "kserve_deadline_ms", kind: kindInt, limits: &[2]float64{10, 30000}}, func(into *Config, value any) { into.Detector.KServeDeadlineMs = value.(int) }},
	},
	"worker": {
		{rule{name: "socket", kind: kindString, format: "socket", filled: "/run/visavis/frames.sock"}, func(into *Config, value any) { into.Worker.Socket = value.(string) }},
		{rule{name: "lease_ms", kind: kindInt, limits: &[2]float64{50, 60000}}, func(into *Config, value any) { into.Worker.LeaseMs = value.(int) }},
		{rule{name: "credit", kind: kindInt, limits: &[2]float64{1, 64}}, func(into *Config, value any) { into.Worker.Credit = value.(int) }},
		{rule{name: "batch_window_ms", kind: kindFloat, limits: &[2]float64{0, 100}}, func(into *Config, value any) { into.Worker.BatchWindowMs = value.(float64) }},
		{rule{name: "register_ring", kind: kindBool}, func(into *Config, value any) { into.Worker.RegisterRing = value.(bool) }},
	},
	"tracker": {
		{rule{name: "score", kind: kindFloat, limits: &[2]float64{0, 1}}, func(into *Config, value any) { into.Tracker.Score = value.(float64) }},
		{rule{name: "hits", kind: kindInt, limits: &[2]float64{1, 30}}, func(into *Config, value any) { into.Tracker.Hits = value.(int) }},
		{rule{name: "lost_ms", kind: kindInt, limits: &[2]float64{100, 60000}}, func(into *Config, value any) { into.Tracker.LostMs = value.(int) }},
	},
	"history": {
		{rule{name: "days", kind: kindInt, limits: &[2]float64{1, 3650}}, func(into *Config, value any) { into.History.Days = value.(int) }},
		{rule{name: "mb", kind: kindInt, limits: &[2]float64{1, 1024}}, func(into *Config, value any) { into.History.Mb = value.(int) }},
		{rule{name: "thumbnails_mb", kind: kindInt, limits: &[2]float64{0, 65536}}, func(into *Config, value any) { into.History.ThumbnailsMb = value.(int) }},
	},
	"gateway": {
		{rule{name: "deadline_ms", kind: kindInt, limits: &[2]float64{20, 60000}}, func(into *Config, value any) { into.Gateway.DeadlineMs = value.(int) }},
		{rule{name: "queue", kind: kindInt, limits: &[2]float64{1, 4096}}, func(into *Config, value any) { into.Gateway.Queue = value.(int) }},
		{rule{name: "queue_per_client", kind: kindInt, limits: &[2]float64{1, 4096}}, func(into *Config, value any) { into.Gateway.QueuePerClient = value.(int) }},
		{rule{name: "share", kind: kindFloat, limits: &[2]float64{0.05, 0.95}}, func(into *Config, value any) { into.Gateway.Share = value.(float64) }},
		{rule{name: "picture_mb", kind: kindInt, limits: &[2]float64{1, 256}}, func(into *Config, value any) { into.Gateway.PictureMb = value.(int) }},
		{rule{name: "decode_mb", kind: kindInt, limits: &[2]float64{4, 4096}}, func(into *Config, value any) { into.Gateway.DecodeMb = value.(int) }},
		{rule{name: "streams", kind: kindInt, limits: &[2]float64{1, 4096}}, func(into *Config, value any) { into.Gateway.Streams = value.(int) }},
		{rule{name: "rate", kind: kindFloat, limits: &[2]float64{0, 1000000}}, func(into *Config, value any) { into.Gateway.Rate = value.(float64) }},
		{rule{name: "account_rate", kind: kindFloat, limits: &[2]float64{0, 1000000}}, func(into *Config, value any) { into.Gateway.AccountRate = value.(float64) }},
		{rule{name: "grpc_listen", kind: kindString, format: "listen"}, func(into *Config, value any) { into.Gateway.GrpcListen = value.(string) }},
		{rule{name: "full_side", kind: kindInt, limits: &[2]float64{0, 1920}}, func(into *Config, value any) { into.Gateway.FullSide = value.(int) }},
	},
	"thermal": {
		{rule{name: "throttle_at_c", kind: kindFloat, limits: &[2]float64{0, 120}}, func(into *Config, value any) { into.Thermal.ThrottleAtC = value.(float64) }},
		{rule{name: "resume_at_c", kind: kindFloat, limits: &[2]float64{0, 120}}, func(into *Config, value any) { into.Thermal.ResumeAtC = value.(float64) }},
		{rule{name: "zones", kind: kindStrings, pattern: `^[A-Za-z0-9._-]{1,32}$`, says: "the type of a thermal zone, 1 to 32 characters of A-Z a-z 0-9 . _ -", filled: "cpu-thermal"}, func(into *Config, value any) { into.Thermal.Zones = value.([]string) }},
		{rule{name: "folder", kind: kindString, format: "path", filled: "/sys/class/thermal"}, func(into *Config, value any) { into.Thermal.Folder = value.(string) }},
	},
}

// cameraKeys are the keys of one camera.
var cameraKeys = []key[Camera]{
	{rule{name: "id", kind: kindString, pattern: `^[a-z0-9_-]{1,32}$`, says: "1 to 32 characters of a-z 0-9 _ -", filled: "door", required: true}, func(into *Camera, value any) { into.ID = value.(string) }},
	{rule{name: "source", kind: kindString, format: "source", filled: "demo:", required: true}, func(into *Camera, value any) { into.Source = value.(string) }},
	{rule{name: "user", kind: kindString}, func(into *Camera, value any) { into.User = value.(string) }},
	{rule{name: "password_file", kind: kindString, format: "readable_file", secret: true}, func(into *Camera, value any) { into.PasswordFile = value.(string) }},
	{rule{name: "size", kind: kindSize, limits: &[2]float64{16, 7680}}, func(into *Camera, value any) { into.Size = value.([2]int) }},
	{rule{name: "fps", kind: kindFloat, limits: &[2]float64{0.1, 240}}, func(into *Camera, value any) { into.FPS = value.(float64) }},
	{rule{name: "rotate", kind: kindInt, choices: []any{0, 90, 180, 270}}, func(into *Camera, value any) { into.Rotate = value.(int) }},
	{rule{name: "privacy", kind: kindString, choices: []any{"pixelate", "blur", "none"}, filled: "pixelate"}, func(into *Camera, value any) { into.Privacy = value.(string) }},
	{rule{name: "privacy_allowed", kind: kindStrings, pattern: `^(pixelate|blur|none)$`, says: "pixelate, blur or none", filled: "pixelate"}, func(into *Camera, value any) { into.PrivacyAllowed = value.([]string) }},
	{rule{name: "detect_fps", kind: kindFloat, limits: &[2]float64{0, 240}}, func(into *Camera, value any) { into.DetectFPS = value.(float64) }},
	{rule{name: "snapshots", kind: kindBool}, func(into *Camera, value any) { into.Snapshots = value.(bool) }},
	{rule{name: "reader", kind: kindString, choices: []any{"auto", "direct", "opencv"}, filled: "auto"}, func(into *Camera, value any) { into.Reader = value.(string) }},
	{rule{name: "pixel_format", kind: kindString, choices: []any{"auto", "mjpg", "yuyv"}, filled: "auto"}, func(into *Camera, value any) { into.PixelFormat = value.(string) }},
	{rule{name: "csi_driver", kind: kindString, choices: []any{"auto", "libcamera", "argus"}, filled: "auto"}, func(into *Camera, value any) { into.CSIDriver = value.(string) }},
	{rule{name: "min_face", kind: kindInt, limits: &[2]float64{0, 4096}}, func(into *Camera, value any) { into.MinFace = value.(int) }},
	{rule{name: "masks", kind: kindPolygons, limits: &[2]float64{0, 1}}, func(into *Camera, value any) { into.Masks = value.([][][2]float64) }},
	{rule{name: "on_delay_ms", kind: kindInt, limits: &[2]float64{0, 3600000}}, func(into *Camera, value any) { into.OnDelayMs = value.(int) }},
	{rule{name: "off_delay_ms", kind: kindInt, limits: &[2]float64{0, 3600000}}, func(into *Camera, value any) { into.OffDelayMs = value.(int) }},
	{rule{name: "lines", kind: kindLines}, func(into *Camera, value any) { into.Lines = value.([]Line) }},
	{rule{name: "zones", kind: kindZones}, func(into *Camera, value any) { into.Zones = value.([]Zone) }},
}

// zoneKeys are the keys of one zone.
var zoneKeys = []key[Zone]{
	{rule{name: "name", kind: kindString, pattern: `^[a-z0-9_-]{1,32}$`, says: "1 to 32 characters of a-z 0-9 _ -", filled: "step", required: true}, func(into *Zone, value any) { into.Name = value.(string) }},
	{rule{name: "polygon", kind: kindPolygon, limits: &[2]float64{0, 1}, required: true}, func(into *Zone, value any) { into.Polygon = value.([][2]float64) }},
	{rule{name: "min_dwell_ms", kind: kindInt, limits: &[2]float64{0, 3600000}}, func(into *Zone, value any) { into.MinDwellMs = value.(int) }},
	{rule{name: "on_delay_ms", kind: kindInt, limits: &[2]float64{0, 3600000}}, func(into *Zone, value any) { into.OnDelayMs = value.(int) }},
	{rule{name: "off_delay_ms", kind: kindInt, limits: &[2]float64{0, 3600000}}, func(into *Zone, value any) { into.OffDelayMs = value.(int) }},
}

// lineKeys are the keys of one line.
var lineKeys = []key[Line]{
	{rule{name: "name", kind: kindString, pattern: `^[a-z0-9_-]{1,32}$`, says: "1 to 32 characters of a-z 0-9 _ -", filled: "gate", required: true}, func(into *Line, value any) { into.Name = value.(string) }},
	{rule{name: "start", kind: kindPoint, limits: &[2]float64{0, 1}, required: true}, func(into *Line, value any) { into.Start = value.([2]float64) }},
	{rule{name: "end", kind: kindPoint, limits: &[2]float64{0, 1}, required: true}, func(into *Line, value any) { into.End = value.([2]float64) }},
}

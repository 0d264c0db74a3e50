# SPDX-License-Identifier: Apache-2.0
# Generated from contracts/config.toml by contracts/generate.py: do not edit.
"""The effective configuration, as `visavis-capture -effective` prints it in JSON."""

from __future__ import annotations

import msgspec


class Zone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One part of a camera's picture, inside `zones`."""

    # Name of the zone in topics.
    name: str
    # At least three corners [x, y] as parts of the picture, 0 to 1, origin top left; edges must not cross. A face is inside when the middle of its box is.
    polygon: tuple[tuple[float, float], ...]
    # A face must stay this long before it has entered.
    min_dwell_ms: int = 0
    # Somebody must be in the zone for this long before it counts as occupied.
    on_delay_ms: int = 0
    # Nobody must be in the zone for this long before it counts as empty.
    off_delay_ms: int = 2000


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line across a camera's picture, inside `lines`. Going from its start to its end on the picture, a face that passes from your left to your right goes in, the other way out."""

    # Name of the line in events; no zone of the camera may have it.
    name: str
    # Where the line begins, [x, y] as parts of the picture.
    start: tuple[float, float]
    # Where it ends.
    end: tuple[float, float]


class Device(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What this machine is called."""

    # Name of this device in topics and on the page; if empty, the host name, with other characters than those allowed replaced.
    id: str = ""


class Web(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page and the HTTP API."""

    # Address and port of the page; port 0 takes a free one. Anything but loopback needs a section [auth].
    listen: str = "127.0.0.1:8080"
    # Further names and addresses under which a browser may ask for the page; the device's own names and addresses always may.
    hosts: tuple[str, ...] = ()
    # Proxies in front of the device: what they say in X-Forwarded-For or the PROXY protocol, over gRPC too, about where a request comes from is believed, and in X-Forwarded-Host and X-Forwarded-Proto about the name that it asked for and whether its client encrypts. Let one do either: where it has spoken the PROXY protocol, its headers are not believed.
    proxies: tuple[str, ...] = ()
    # Requests that get a line in the log: "refused" (status 400 and above, over gRPC all but OK; a flood of them thinned out), "all" or "none".
    log_requests: str = "refused"
    # Encrypt the page and the API: with web.cert and web.key, or with a certificate that the device makes for its own names.
    https: bool = False
    # File with the certificate of the page and those that signed it; it turns web.https on and is read again when it changes.
    cert: str = ""
    # File with the key of web.cert.
    key: str = ""


class Auth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Logins and tokens; `visavis auth` makes them."""

    # Let nobody in without a login or a token. A section [auth] in a file means true unless it says false here.
    enabled: bool = False
    # The credentials, hashes only, readable by their owner alone; credentials.toml in the state folder when it is empty.
    file: str = ""
    # A login on the page ends when it was not used for this many hours.
    session_idle_h: int = 24
    # A login on the page ends after this many days in any case.
    session_days: int = 30
    # File with the code, eight of A-Z 2-9 without I and O, by which the first administrator is made at /claim; it is valid once. Empty: a new code at each start, valid for 15 minutes.
    claim_code_file: str = ""


class MQTT(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker that gets the detections."""

    # mqtt://host:port, mqtts://host:port, or through a WebSocket ws://host:port/path, wss://host:port/path; "managed" lets `visavis run` start mosquitto itself; "" turns MQTT off.
    url: str = "mqtt://127.0.0.1:1883"
    # First level of every topic.
    prefix: str = "visavis"
    # How Home Assistant is told about the entities.
    discovery: str = "device"
    # Obey the topics `set/<name>`: "auto" does where mqtt.user or mqtt.cert is set, or the broker runs on this machine; "on" trusts everybody who can publish.
    commands: str = "auto"
    # Forms in which this broker is told: the topics of docs/reference/mqtt.md, those of Frigate, Sparkplug B. Each has a connection of its own.
    formats: tuple[str, ...] = ("native",)
    # First level of the topics in Frigate's form; not that of our own, and another one for each device at the same broker.
    frigate_prefix: str = "frigate"
    # Group of the edge node in Sparkplug B; the node is device.id, and each camera is a device of it.
    sparkplug_group: str = "visavis"
    # User name at the broker.
    user: str = ""
    # File that holds the password of mqtt.user and nothing else, or credential:NAME of systemd; it is read again at each connection.
    password_file: str = ""
    # File with the certificates that may sign the broker's; the system's when it is empty.
    ca: str = ""
    # File with the client certificate.
    cert: str = ""
    # File with the key of mqtt.cert.
    key: str = ""


class MQTTSecond(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second broker that gets the same as the first; neither waits for the other."""

    # Like mqtt.url, but not "managed"; "" means that there is no second broker.
    url: str = ""
    # First level of every topic.
    prefix: str = "visavis"
    # How Home Assistant is told about the entities.
    discovery: str = "off"
    # Obey the topics `set/<name>`: "auto" does where mqtt_second.user or mqtt_second.cert is set, or the broker runs on this machine; "on" trusts everybody who can publish.
    commands: str = "auto"
    # Forms in which this broker is told: the topics of docs/reference/mqtt.md, those of Frigate, Sparkplug B. Each has a connection of its own.
    formats: tuple[str, ...] = ("native",)
    # First level of the topics in Frigate's form; not that of our own, and another one for each device at the same broker.
    frigate_prefix: str = "frigate"
    # Group of the edge node in Sparkplug B; the node is device.id, and each camera is a device of it.
    sparkplug_group: str = "visavis"
    # User name at the broker.
    user: str = ""
    # File that holds the password of mqtt_second.user and nothing else, or credential:NAME of systemd; it is read again at each connection.
    password_file: str = ""
    # File with the certificates that may sign the broker's; the system's when it is empty.
    ca: str = ""
    # File with the client certificate.
    cert: str = ""
    # File with the key of mqtt_second.cert.
    key: str = ""


class Detector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model, and what runs it."""

    # A name in models/onnx/manifest.toml, or "auto": what `visavis model bench` recommended on this machine, at its input, threads and precision where these are not set. Of more than 20 characters the status and messages may show only the first.
    model: str = "centerface"
    # What runs the model: "auto" takes the first of tensorrt and onnxruntime that works; "fake" invents detections, for tests.
    backend: str = "auto"
    # Number format of the network.
    precision: str = "auto"
    # Width and height of the network's input in pixels. For the model "auto" the recommended ones, where no file and no variable sets it; a model server (kserve) has its own.
    input: tuple[int, int] = (640, 480)
    # How many workers `visavis run` starts; `visavis workers N` changes it while it runs. Others may join, up to 16 in all.
    workers: int = 1
    # Threads of each worker; 0 divides the cores among the workers, 16 for each at most; the model "auto" gets no more than were recommended for its input and precision.
    threads: int = 0
    # The least score of a face that is told. The tracker also gets faces down to a third of it, to continue a track.
    score: float = 0.5
    # Two boxes that overlap by more than this are one face.
    iou: float = 0.3
    # http(s):// or grpc(s):// address of the model server when backend is "kserve"; the model's name there is detector.model.
    kserve_url: str = ""
    # File with the certificates that may sign the model server's; the system's when it is empty.
    kserve_ca: str = ""
    # File that holds the bearer token for the model server and nothing else; it is read again for each request.
    kserve_token_file: str = ""
    # A frame that the model server has not answered after this time is inferred here; at most half of worker.lease_ms and of gateway.deadline_ms.
    kserve_deadline_ms: int = 120


class Worker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hand-off of frames to workers."""

    # Unix socket where workers connect.
    socket: str = "/run/visavis/frames.sock"
    # A worker that holds a frame for longer loses its connection.
    lease_ms: int = 2000
    # Frames that one worker may hold at a time. A backend that takes batches (tensorrt, kserve) infers them together; with others more than 1 gains nothing. Another number needs another engine.
    credit: int = 1
    # How long a frame waits for others, to make a batch of up to worker.credit. With 0 nothing waits: a batch is whatever came while the previous one was inferred.
    batch_window_ms: float = 0
    # Let the GPU read a frame where the daemon wrote it, where backend tensorrt and the GPU's driver can; else the worker copies it for the GPU first. It keeps all of a camera's ring in memory.
    register_ring: bool = False


class Tracker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How faces are followed from frame to frame."""

    # The least score of a face that begins a track, unless detector.score is higher. A face with less only continues a track.
    score: float = 0.5
    # A face is believed when this many of hits + 2 inferred frames have shown it.
    hits: int = 3
    # A face that was not seen for this long is gone; after three frame times, if that is longer.
    lost_ms: int = 1000


class History(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events that the device keeps for those who ask later. What goes to the broker does not depend on it."""

    # An event is kept for this many days at most.
    days: int = 30
    # The most space on the disk, in MiB; 16 hold about 40,000 events.
    mb: int = 16
    # The most space on the disk, in MiB, for small pictures of those who appear, faces hidden as the camera's privacy says; 0 keeps no picture.
    thumbnails_mb: int = 0


class Gateway(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pictures that clients send: how large, how many, and how long they may wait."""

    # A picture is refused when it would wait longer than this; on a slow machine, three times the detector's own time counts instead.
    deadline_ms: int = 250
    # Pictures that may wait at once, of all clients together.
    queue: int = 64
    # Pictures of one client that may wait at once: of a login or token, and without one of an address.
    queue_per_client: int = 16
    # Share of the workers' time for clients: the most they get while a camera's frame is waiting, and the least while cameras leave no pause.
    share: float = 0.5
    # The largest encoded picture, in MiB.
    picture_mb: int = 16
    # Memory in MiB that the decoding of all clients' pictures together may take; a picture that alone needs more is refused.
    decode_mb: int = 48
    # WebSockets at /api/v1/detect/stream and gRPC streams that may be open at once; one login may have three quarters of them.
    streams: int = 64
    # Pictures a second from one address on average; twice as many may come at once. 0 sets no limit.
    rate: float = 1000.0
    # The same from one login or token, wherever it sends from.
    account_rate: float = 1000.0
    # Address and port of the Open Inference Protocol over gRPC; empty serves it over HTTP alone. Anything but loopback needs a section [auth]; `web.https` encrypts it too.
    grpc_listen: str = ""
    # Longest side in pixels of pictures that `?input=full` looks at in their own size; larger ones are drawn smaller. 0 takes none.
    full_side: int = 1920


class Thermal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A device that gets too hot looks for faces less often, until it is cool again; see docs/design/thermal.md."""

    # From this temperature in °C upwards inference is slowed, a little more every two seconds; 0 never slows it.
    throttle_at_c: float = 78.0
    # From this temperature in °C downwards it becomes faster again, just as slowly; between the two it stays as it is.
    resume_at_c: float = 72.0
    # Types of the kernel's thermal zones that count, the hottest of them; by default those of a Raspberry Pi and of a Jetson. A PC's is x86_pkg_temp.
    zones: tuple[str, ...] = ("cpu-thermal", "gpu-thermal", "tj-thermal", "CPU-therm", "GPU-therm")
    # Where the kernel shows its thermal zones.
    folder: str = "/sys/class/thermal"


class Camera(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table for each camera; without any, a demo of 640 x 480 plays. With `camera = []` there is none, and the device serves only clients."""

    # Name of the camera in topics and on the page.
    id: str
    # v4l2:/dev/..., csi:0 (the sensor's number), rtsp://..., rtsps://..., file:clip.mp4 (loops), demo: or push: (a client sends them). A network camera that takes its login in the address has {user} and {password} there.
    source: str
    # User name at an rtsp:// or rtsps:// camera.
    user: str = ""
    # File that holds the password of the camera's user and nothing else.
    password_file: str = ""
    # Width and height in pixels that the camera is asked for; it may give the nearest it has. For a push: camera, the largest size that is kept.
    size: tuple[int, int] = (1280, 720)
    # Pictures a second that the camera is asked for, or that a push: camera's client sends.
    fps: float = 30.0
    # Degrees by which each picture is turned clockwise.
    rotate: int = 0
    # What viewers and snapshots see of a face.
    privacy: str = "pixelate"
    # What the MQTT command privacy may choose. With "none" in it, whoever may send commands can make faces visible.
    privacy_allowed: tuple[str, ...] = ()
    # The most pictures a second that are given to the detector; 0 sets no limit.
    detect_fps: float = 0.0
    # Publish pictures over MQTT, with the camera's privacy applied: when somebody appears, and at the command snapshot.
    snapshots: bool = False
    # How a v4l2 camera is read: `direct` (the kernel's own interface), `opencv`, or `auto`: direct, and OpenCV for pixel formats that direct does not know.
    reader: str = "auto"
    # Format that a v4l2 camera is asked for.
    pixel_format: str = "auto"
    # What reads a csi camera: libcamera (Raspberry Pi) or argus (Jetson).
    csi_driver: str = "auto"
    # Faces whose shorter side has fewer pixels of the camera's picture are not followed or counted; viewers still see them anonymised.
    min_face: int = 0
    # Parts of the picture, each a polygon like a zone's, where faces are not followed or counted; viewers still see them anonymised.
    masks: tuple[tuple[tuple[float, float], ...], ...] = ()
    # Somebody must be at the camera for this long before it counts as occupied.
    on_delay_ms: int = 0
    # Nobody must be at the camera for this long before it counts as empty.
    off_delay_ms: int = 2000
    # Lines over which faces are counted, each with the keys of a line.
    lines: tuple[Line, ...] = ()
    # Parts of the picture that are watched separately, each with the keys of a zone.
    zones: tuple[Zone, ...] = ()


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole effective configuration."""

    device: Device = Device()
    web: Web = Web()
    auth: Auth = Auth()
    mqtt: MQTT = MQTT()
    mqtt_second: MQTTSecond = MQTTSecond()
    detector: Detector = Detector()
    worker: Worker = Worker()
    tracker: Tracker = Tracker()
    history: History = History()
    gateway: Gateway = Gateway()
    thermal: Thermal = Thermal()
    camera: tuple[Camera, ...] = ()

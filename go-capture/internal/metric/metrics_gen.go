// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/metrics.toml by contracts/generate.py. DO NOT EDIT.

package metric

// FramesCapturedTotal: Frames taken from the camera.
var FramesCapturedTotal = Metric{Name: "visavis_frames_captured_total", Help: "Frames taken from the camera.", Labels: []string{"camera"}}

// FramesInferredTotal: Frames with a result.
var FramesInferredTotal = Metric{Name: "visavis_frames_inferred_total", Help: "Frames with a result.", Labels: []string{"camera"}}

// FramesInFlight: Frames in the ring now.
var FramesInFlight = Metric{Name: "visavis_frames_in_flight", Help: "Frames in the ring now.", Labels: []string{"camera"}}

// FramesDroppedTotal: Captured frames without a result, by reason: superseded, no_slot, aborted or abandoned.
var FramesDroppedTotal = Metric{Name: "visavis_frames_dropped_total", Help: "Captured frames without a result, by reason: superseded, no_slot, aborted or abandoned.", Labels: []string{"camera", "reason"}}

// CameraOnline: 1 while the camera gives frames.
var CameraOnline = Metric{Name: "visavis_camera_online", Help: "1 while the camera gives frames.", Labels: []string{"camera"}}

// CameraEnabled: 0 while the camera is switched off on purpose, so that it need not give frames.
var CameraEnabled = Metric{Name: "visavis_camera_enabled", Help: "0 while the camera is switched off on purpose, so that it need not give frames.", Labels: []string{"camera"}}

// CameraDetecting: 1 while somebody looks for faces; while not, faces and occupied do not say that nobody is there.
var CameraDetecting = Metric{Name: "visavis_camera_detecting", Help: "1 while somebody looks for faces; while not, faces and occupied do not say that nobody is there.", Labels: []string{"camera"}}

// CameraUsbResetsTotal: How often the camera's USB device was reset because the camera hung; 0 for one without.
var CameraUsbResetsTotal = Metric{Name: "visavis_camera_usb_resets_total", Help: "How often the camera's USB device was reset because the camera hung; 0 for one without.", Labels: []string{"camera"}}

// Faces: Faces (confirmed tracks) in the picture now.
var Faces = Metric{Name: "visavis_faces", Help: "Faces (confirmed tracks) in the picture now.", Labels: []string{"camera"}}

// Occupied: 1 while somebody is there, with the camera's delays.
var Occupied = Metric{Name: "visavis_occupied", Help: "1 while somebody is there, with the camera's delays.", Labels: []string{"camera"}}

// ZoneFaces: Faces that have entered the zone and not left it.
var ZoneFaces = Metric{Name: "visavis_zone_faces", Help: "Faces that have entered the zone and not left it.", Labels: []string{"camera", "zone"}}

// ZoneOccupied: 1 while somebody is in the zone, with the zone's delays.
var ZoneOccupied = Metric{Name: "visavis_zone_occupied", Help: "1 while somebody is in the zone, with the zone's delays.", Labels: []string{"camera", "zone"}}

// ZoneEnteredTotal: Faces that entered the zone.
var ZoneEnteredTotal = Metric{Name: "visavis_zone_entered_total", Help: "Faces that entered the zone.", Labels: []string{"camera", "zone"}}

// LineCrossedTotal: Faces that crossed the line, by direction: in or out.
var LineCrossedTotal = Metric{Name: "visavis_line_crossed_total", Help: "Faces that crossed the line, by direction: in or out.", Labels: []string{"camera", "line", "direction"}}

// StageSeconds: Time an inferred frame spent in each stage: capture, queue, handoff, infer, publish, and total from the camera to the result.
var StageSeconds = Metric{Name: "visavis_stage_seconds", Help: "Time an inferred frame spent in each stage: capture, queue, handoff, infer, publish, and total from the camera to the result.", Labels: []string{"stage"}}

// ViewerFramesSentTotal: Frames handed to viewers.
var ViewerFramesSentTotal = Metric{Name: "visavis_viewer_frames_sent_total", Help: "Frames handed to viewers.", Labels: []string{"camera"}}

// ViewerFramesDroppedTotal: Frames that viewers missed because they or the encoder were slow.
var ViewerFramesDroppedTotal = Metric{Name: "visavis_viewer_frames_dropped_total", Help: "Frames that viewers missed because they or the encoder were slow.", Labels: []string{"camera"}}

// BuildInfo: Always 1; the labels tell the build.
var BuildInfo = Metric{Name: "visavis_build_info", Help: "Always 1; the labels tell the build.", Labels: []string{"version", "goversion"}}

// PartFault: 1 while something is wrong with a part beside cameras, workers and brokers, such as the history or a certificate; `parts` in the status says what.
var PartFault = Metric{Name: "visavis_part_fault", Help: "1 while something is wrong with a part beside cameras, workers and brokers, such as the history or a certificate; `parts` in the status says what.", Labels: []string{"part"}}

// Workers: Connected workers by state: idle, busy, or paused while a worker asks for no frames.
var Workers = Metric{Name: "visavis_workers", Help: "Connected workers by state: idle, busy, or paused while a worker asks for no frames.", Labels: []string{"state"}}

// WorkersFallback: Workers that are on the CPU because the GPU failed three times; they try it again.
var WorkersFallback = Metric{Name: "visavis_workers_fallback", Help: "Workers that are on the CPU because the GPU failed three times; they try it again.", Labels: []string{}}

// EngineFailed: 1 while TensorRT cannot be used because the last build of its engine failed; `engine` in the status says why.
var EngineFailed = Metric{Name: "visavis_engine_failed", Help: "1 while TensorRT cannot be used because the last build of its engine failed; `engine` in the status says why.", Labels: []string{}}

// ServerLossesTotal: How often a worker lost its model server since that worker started; only with the backend kserve.
var ServerLossesTotal = Metric{Name: "visavis_server_losses_total", Help: "How often a worker lost its model server since that worker started; only with the backend kserve.", Labels: []string{"worker"}}

// ServerLocalFramesTotal: Frames that this device inferred instead of a worker's model server, since that worker started; only with the backend kserve.
var ServerLocalFramesTotal = Metric{Name: "visavis_server_local_frames_total", Help: "Frames that this device inferred instead of a worker's model server, since that worker started; only with the backend kserve.", Labels: []string{"worker"}}

// Viewers: Live streams open now.
var Viewers = Metric{Name: "visavis_viewers", Help: "Live streams open now.", Labels: []string{}}

// TemperatureCelsius: The hottest thermal zone that counts; absent where there is none.
var TemperatureCelsius = Metric{Name: "visavis_temperature_celsius", Help: "The hottest thermal zone that counts; absent where there is none.", Labels: []string{}}

// InferenceShare: Share of the time for which workers may work; less than 1 while the device is too hot.
var InferenceShare = Metric{Name: "visavis_inference_share", Help: "Share of the time for which workers may work; less than 1 while the device is too hot.", Labels: []string{}}

// RequestsTotal: Answered requests; a live stream counts when it ends.
var RequestsTotal = Metric{Name: "visavis_requests_total", Help: "Answered requests; a live stream counts when it ends.", Labels: []string{"route", "code"}}

// MqttConnected: 1 while the broker is connected; with several brokers, while all of them are.
var MqttConnected = Metric{Name: "visavis_mqtt_connected", Help: "1 while the broker is connected; with several brokers, while all of them are.", Labels: []string{}}

// OutboxEvents: Events waiting for the broker.
var OutboxEvents = Metric{Name: "visavis_outbox_events", Help: "Events waiting for the broker.", Labels: []string{}}

// OutboxDroppedTotal: Events given up: too many or too old, or lost with the disk that kept them.
var OutboxDroppedTotal = Metric{Name: "visavis_outbox_dropped_total", Help: "Events given up: too many or too old, or lost with the disk that kept them.", Labels: []string{}}

// BrokerConnected: 1 while this broker is connected.
var BrokerConnected = Metric{Name: "visavis_broker_connected", Help: "1 while this broker is connected.", Labels: []string{"broker"}}

// BrokerOutboxEvents: Events waiting for this broker.
var BrokerOutboxEvents = Metric{Name: "visavis_broker_outbox_events", Help: "Events waiting for this broker.", Labels: []string{"broker"}}

// BrokerOutboxDroppedTotal: Events given up that were for this broker.
var BrokerOutboxDroppedTotal = Metric{Name: "visavis_broker_outbox_dropped_total", Help: "Events given up that were for this broker.", Labels: []string{"broker"}}

// BrokerResultsReplacedTotal: Results of frames that newer ones replaced before this broker took them; the next message counts these frames as superseded.
var BrokerResultsReplacedTotal = Metric{Name: "visavis_broker_results_replaced_total", Help: "Results of frames that newer ones replaced before this broker took them; the next message counts these frames as superseded.", Labels: []string{"broker"}}

// HistoryDroppedTotal: Events that had to leave memory before the disk took them, so the history lacks them.
var HistoryDroppedTotal = Metric{Name: "visavis_history_dropped_total", Help: "Events that had to leave memory before the disk took them, so the history lacks them.", Labels: []string{}}

// ClientPicturesTotal: Pictures that clients sent, by what became of them.
var ClientPicturesTotal = Metric{Name: "visavis_client_pictures_total", Help: "Pictures that clients sent, by what became of them.", Labels: []string{"outcome"}}

// ClientPicturesOpen: Clients' pictures that are being read, waiting, being decoded or being inferred now.
var ClientPicturesOpen = Metric{Name: "visavis_client_pictures_open", Help: "Clients' pictures that are being read, waiting, being decoded or being inferred now.", Labels: []string{}}

// ClientPicturesWaiting: Clients' pictures that wait in the queue now.
var ClientPicturesWaiting = Metric{Name: "visavis_client_pictures_waiting", Help: "Clients' pictures that wait in the queue now.", Labels: []string{}}

// ClientPlacesBusy: Clients' pictures that are being decoded or inferred now.
var ClientPlacesBusy = Metric{Name: "visavis_client_places_busy", Help: "Clients' pictures that are being decoded or inferred now.", Labels: []string{}}

// ClientStreams: Streams of pictures open now.
var ClientStreams = Metric{Name: "visavis_client_streams", Help: "Streams of pictures open now.", Labels: []string{}}

// ClientFramesTakenTotal: Clients' pictures that were drawn into the ring.
var ClientFramesTakenTotal = Metric{Name: "visavis_client_frames_taken_total", Help: "Clients' pictures that were drawn into the ring.", Labels: []string{}}

// ClientFramesTotal: Clients' pictures that were drawn into the ring, by how they ended there.
var ClientFramesTotal = Metric{Name: "visavis_client_frames_total", Help: "Clients' pictures that were drawn into the ring, by how they ended there.", Labels: []string{"fate"}}

// ClientFramesInFlight: Clients' pictures in the ring now.
var ClientFramesInFlight = Metric{Name: "visavis_client_frames_in_flight", Help: "Clients' pictures in the ring now.", Labels: []string{}}

// ClientFramesLentAgainTotal: Clients' pictures that were lent to a second worker because the first one was late or died.
var ClientFramesLentAgainTotal = Metric{Name: "visavis_client_frames_lent_again_total", Help: "Clients' pictures that were lent to a second worker because the first one was late or died.", Labels: []string{}}

// ClientStageSeconds: Time an answered picture spent in each stage.
var ClientStageSeconds = Metric{Name: "visavis_client_stage_seconds", Help: "Time an answered picture spent in each stage.", Labels: []string{"stage"}}

// PushedPicturesTotal: Pictures that clients sent for push: cameras, by what became of them.
var PushedPicturesTotal = Metric{Name: "visavis_pushed_pictures_total", Help: "Pictures that clients sent for push: cameras, by what became of them.", Labels: []string{"camera", "outcome"}}

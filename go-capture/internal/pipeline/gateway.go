// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/config"
	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/gateway/decode"
	"visavis/capture/internal/gateway/overgrpc"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/jpeg"
	"visavis/capture/internal/preprocess"
	"visavis/capture/internal/showing"
	"visavis/capture/internal/web"
)

// drainMost is how long clients may take to get their answers when the daemon ends. It is less than whoever stops it waits.
const drainMost = 4 * time.Second

// outcome sends the end of a frame to whoever waits for it. It is called with the dispatcher's mutex held.
func (a *Appliance) outcome(o dispatch.Outcome) {
	if gateway.Takes(o.Stream) {
		a.gateway.Outcome(o)
		return
	}
	a.hub.Outcome(o)
}

func gatewaySettings(c *config.Config, version string) gateway.Settings {
	return gateway.Settings{
		Device: c.Device.ID, Version: version, Model: c.Detector.Model, InputWidth: c.Detector.Input[0], InputHeight: c.Detector.Input[1],
		Workers: c.Detector.Workers, Credit: c.Worker.Credit, Score: c.Detector.Score,
		Deadline: time.Duration(c.Gateway.DeadlineMs) * time.Millisecond,
		Queue:    c.Gateway.Queue, QueuePerClient: c.Gateway.QueuePerClient, Streams: c.Gateway.Streams, Rate: c.Gateway.Rate, AccountRate: c.Gateway.AccountRate,
		FullSide: c.Gateway.FullSide, Account: func(r *http.Request) string { return web.AccountOf(r.Context()) },
		Limits: gateway.Limits{Bytes: c.Gateway.PictureMb << 20, DecodeBytes: c.Gateway.DecodeMb << 20},
		Tools:  gateway.Tools{Decode: decode.Upright, Draw: preprocess.Letterbox, Encode: encodeForClient},
	}
}

// untilAnswered is a context that ends after ctx: when the clients that are there by then have their answers. Cameras, workers and
// viewers go on until then.
func (a *Appliance) untilAnswered(ctx context.Context) (context.Context, context.CancelFunc) {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() {
		a.gateway.Drain(drainMost)
		stop()
	})
	return serving, func() { unhook(); stop() }
}

// encodeForClient draws boxes, or hides faces, on a picture that a client sent.
func encodeForClient(picture *frame.Picture, faces []hub.Face, anonymize bool) ([]byte, error) {
	result := &hub.Result{Picture: picture, Faces: faces}
	if anonymize {
		return jpeg.EncodeOwn(result, showing.Style{Privacy: showing.PrivacyPixelate})
	}
	return jpeg.EncodeOwn(result, showing.Style{Privacy: showing.PrivacyNone, Boxes: true})
}

// guests are the routes and metrics that the site shows for others.
func (a *Appliance) guests() web.Guests {
	g := a.gateway
	return web.Guests{
		Mounts: append(inferenceMounts(g), []web.Mount{
			{Method: http.MethodPost, Pattern: "/api/v1/detect", Least: auth.Operator, Shows: web.NoCamera, Operation: g.DetectOperation(), Handler: http.HandlerFunc(g.ServeDetect)},
			{Pattern: "/api/v1/detect/stream", Least: auth.Operator, Shows: web.NoCamera, Operation: gateway.StreamOperation(), Handler: http.HandlerFunc(g.ServeStream)},
			{Pattern: "/api/v1/cameras/{id}/push", Least: auth.Operator, Operation: gateway.PushOperation(), Handler: http.HandlerFunc(g.ServePush)},
		}...),
		Collectors: []prometheus.Collector{g.Collector(), losses{a}},
	}
}

// openGRPC is the gateway's second door, which shares with the site what is not HTTP's alone; nil when nobody asked for it.
func (a *Appliance) openGRPC(site web.Settings) (*overgrpc.Server, error) {
	listen := a.config.Gateway.GrpcListen
	if listen == "" {
		return nil, nil
	}
	return overgrpc.New(overgrpc.Settings{
		Listen: listen, PictureBytes: a.config.Gateway.PictureMb << 20, TLS: site.TLS, Auth: site.Auth, Proxies: site.Proxies, Log: site.Log,
		Gateway: a.gateway, Count: a.web.CountCall,
	})
}

// inferenceMounts are the routes of the Open Inference Protocol.
func inferenceMounts(g *gateway.Gateway) []web.Mount {
	var mounts []web.Mount
	for _, one := range g.InferenceRoutes() {
		least := auth.Viewer
		switch {
		case one.Open:
			least = auth.Public
		case one.Method == http.MethodPost:
			least = auth.Operator
		}
		mounts = append(mounts, web.Mount{Method: one.Method, Pattern: one.Pattern, Least: least, Shows: web.NoCamera, Operation: one.Operation, Handler: one.Handler})
	}
	return mounts
}

// SPDX-License-Identifier: Apache-2.0

// Package pipeline wires the appliance. Nothing else does.
//
// The way of a frame:
//
//  1. a Source grabs it                        source, frame
//  2. Letterbox draws it into a free slot      preprocess, dispatch
//  3. Dispatch lends the slot to a worker      dispatch, ring
//  4. the worker's result ends the lease       dispatch
//  5. the Hub restores order and geometry      hub, track, zone, event
//  6. leaves listen: MQTT, viewers, pictures   mqtt, web, history, portrait
//
// The functions stand in that order; cameras.go keeps the cameras alive, status.go answers for all of them. Pictures that clients
// send join at 2 and leave after 4: gateway.go.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"

	"visavis/capture/internal/album"
	"visavis/capture/internal/auth"
	"visavis/capture/internal/certificate"
	"visavis/capture/internal/clientnet"
	"visavis/capture/internal/clock"
	"visavis/capture/internal/config"
	"visavis/capture/internal/control"
	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/engine"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/gateway/overgrpc"
	"visavis/capture/internal/history"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/mqtt"
	"visavis/capture/internal/portrait"
	"visavis/capture/internal/preprocess"
	"visavis/capture/internal/source"
	"visavis/capture/internal/web"
)

// Appliance is the whole daemon.
type Appliance struct {
	version     string
	config      *config.Config
	file        string // that the settings came from; "" if there is none
	dispatcher  *dispatch.Dispatcher
	hub         *hub.Hub
	gateway     *gateway.Gateway
	history     *history.History
	album       *album.Album        // of the pictures of events; nil when none are kept
	mqtt        *mqtt.Brokers       // nil when there is none
	board       *control.Board      // what was ordered of each camera
	ordering    sync.Mutex          // held while an order is carried out and told
	painter     *portrait.Painter   // nil when nobody wants pictures of events
	proxies     clientnet.Proxies   // balancers that may say whose a connection is
	gate        *auth.Gate          // nil without [auth]
	certificate *certificate.Keeper // nil where the page is not encrypted
	web         *web.Server
	grpc        *overgrpc.Server // nil when gateway.grpc_listen is ""
	engine      *engine.Watch
	clock       *clock.Watch
	reread      reread // of the configuration
	latest      latest
	cooling     cooling
	progress    calm

	mu      sync.Mutex
	cameras map[string]*camera
	listed  []config.Camera   // in the order of the newest configuration
	refused map[string]string // why cameras of these do not run
	reloads chan *config.Config
}

// New builds every part but starts none. file is the configuration that the settings came from, "" if there is none: what the device
// kept or announced under another device.id of that file is taken over. It fails when a part's settings cannot work, such as a web
// address beyond loopback.
func New(settings *config.Config, file, version string) (*Appliance, error) {
	followName(settings, file)
	preprocess.OneThreadEach()
	if err := source.TellOpenCV(); err != nil {
		return nil, err
	}
	a := &Appliance{version: version, config: settings, file: file, cameras: map[string]*camera{}, refused: map[string]string{},
		listed: settings.Cameras, reloads: make(chan *config.Config)}
	a.engine = engine.NewWatch(settings.Worker.Socket)
	a.clock = clock.NewWatch(clock.Service, clock.Batteries)
	a.reread = newReread(file)
	a.cooling = newCooling(settings.Thermal)
	a.dispatcher = dispatch.New(dispatchOptions(settings, a.outcome))
	a.history = history.New(historySettings(settings))
	a.album = openAlbum(settings, a.history)
	a.board = control.NewBoard(ordersFile(settings))
	for _, open := range []func() error{a.openGateway, a.openDoors, a.openBrokers} {
		if err := open(); err != nil {
			return nil, err
		}
	}
	a.painter = a.newPainter()
	a.hub = hub.New(a.leaves()...)
	a.hub.AwaitedFrom(a.dispatcher.Awaited)
	return a, nil
}

func (a *Appliance) openGateway() (err error) {
	a.gateway, err = gateway.New(gatewaySettings(a.config, a.version), a.dispatcher)
	return err
}

// openDoors makes what people and programs come in by: the site with its logins, and gRPC.
func (a *Appliance) openDoors() (err error) {
	if a.gate, err = openGate(a.config); err != nil {
		return err
	}
	if a.certificate, err = certificateOf(a.config); err != nil {
		return err
	}
	site := webSettings(a.config, a.version)
	if a.proxies, err = clientnet.ParseProxies(a.config.Web.Proxies); err != nil {
		return err
	}
	site.Proxies = a.proxies
	site.Auth, site.TLS, site.Guests, site.Events = a.gate, a.encryption(), a.guests(), a.history
	if a.album != nil {
		site.Thumbnails = a.album
	}
	if a.web, err = web.New(site, (*view)(a)); err != nil {
		return err
	}
	a.grpc, err = a.openGRPC(site)
	return err
}

func (a *Appliance) openBrokers() (err error) {
	brokers := mqttSettings(a.config, a.version)
	if len(brokers) == 0 {
		return nil
	}
	if a.mqtt, err = mqtt.NewBrokers(brokers...); err != nil {
		return err
	}
	a.mqtt.InfoFrom(a.info)
	a.mqtt.StatsFrom(a.stats)
	a.mqtt.DetectingFrom(a.detecting)
	a.mqtt.CommandsTo(a.obey)
	return nil
}

// leaves are told of every result, in this order.
func (a *Appliance) leaves() []hub.Leaf {
	leaves := []hub.Leaf{a.web, keeper{a.history}}
	if a.mqtt != nil {
		leaves = append(leaves, a.mqtt)
	}
	if a.painter != nil {
		leaves = append(leaves, a.painter)
	}
	return leaves
}

// Run serves until ctx ends. It returns the first error that ends the appliance; a lost camera, worker or broker is not
// one: each has its own retry and its own line in the status.
func (a *Appliance) Run(ctx context.Context) error {
	closeEvents, err := a.keepEvents()
	if err != nil {
		return err
	}
	a.board.Start()
	defer a.board.Close()
	return errors.Join(a.serve(ctx), closeEvents())
}

func (a *Appliance) serve(ctx context.Context) error {
	at, err := a.listen(ctx)
	if err != nil {
		return err
	}
	if err := a.welcome(); err != nil {
		return errors.Join(err, at.close())
	}
	ctx, stop := a.untilAnswered(ctx)
	defer stop()
	a.latest.begin(ctx)
	group, ctx := errgroup.WithContext(ctx)
	untilTold, allTold := context.WithCancel(context.WithoutCancel(ctx)) // ends after the hub, so that its last words go out
	group.Go(func() error { return a.dispatcher.Serve(ctx, at.workers) })
	group.Go(func() error { defer allTold(); return a.hub.Run(ctx) })
	group.Go(func() error { return a.web.Serve(ctx, at.page) })
	if a.grpc != nil {
		group.Go(func() error { return a.grpc.Serve(ctx, at.grpc) })
	}
	if a.mqtt != nil {
		group.Go(func() error { return a.mqtt.Run(untilTold) })
	}
	if a.gate != nil {
		group.Go(func() error { return a.gate.Run(ctx) })
	}
	group.Go(func() error { return a.runCameras(ctx) })
	group.Go(func() error { return a.tellSystemd(ctx) })
	group.Go(func() error { return a.keepCool(ctx) })
	group.Go(func() error { return a.watchParts(ctx) })
	group.Go(func() error { return a.latest.watch(ctx) })
	go a.letOthersAge(ctx, leftPauses())
	slog.Info("serving", "page", scheme(a.config)+"://"+a.config.Web.Listen+"/", "workers at", a.config.Worker.Socket)
	if err := group.Wait(); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

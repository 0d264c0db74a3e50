// SPDX-License-Identifier: Apache-2.0

// Package overgrpc serves the Open Inference Protocol over gRPC, on a port of its own.
//
// The way of a call: admit.go finds who calls and whether they may, before anything of their message is read; receive.go reads it;
// service.go answers, or stream.go where one call has many messages; message.go takes a picture out of its message. What comes then is
// package gateway's, as over HTTP.
//
// All calls but ModelStreamInfer are unary for clients. Here all are streams, because grpc reads a unary call's message before it asks
// anybody.
package overgrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // clients may pack; what comes out is bounded as any message
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/clientnet"
	"visavis/capture/internal/connlimit"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/requestlog"
)

const (
	// What nobody reads takes no more than connections x callsMost x window: 256 MiB, 64 MiB from one address. grpc gives the window of
	// a connection back before anything is read, so that one bounds nothing.
	connectionsMost  = 256
	perAddressMost   = 64
	callsMost        = 16       // of one connection at once
	window           = 64 << 10 // bytes of a call before they are read; it grows with what is being read of a message
	connectionWindow = 1 << 20
	headersMost      = 16 << 10
	handshakeTimeout = 5 * time.Second
	idleMost         = 5 * time.Minute
	pingPause        = time.Minute // without a word; a client that does not answer it is gone
	stopTimeout      = 2 * time.Second
	// Clients ping too, for balancers in between forget who is silent: every 20 s to a minute, and grpc-go's at most every 10 s. Unasked,
	// grpc closes the connection of whoever does so within five minutes.
	clientPause = 5 * time.Second
)

// Settings of a Server.
type Settings struct {
	Listen       string
	PictureBytes int               // of the largest picture
	TLS          *tls.Config       // nil = as it is
	Auth         *auth.Gate        // nil = no login, everyone may do everything
	Proxies      clientnet.Proxies // whose x-forwarded-for is believed
	Log          *requestlog.Log   // default: of what is refused
	Gateway      *gateway.Gateway
	Count        func(route, code string) // of an answered call
	// MaxConnections and MaxPerAddress are open at once, in all and from one address; default connectionsMost and
	// perAddressMost. One carries many calls.
	MaxConnections, MaxPerAddress int
}

// Server is the gRPC door of the gateway. Make it with New.
type Server struct {
	settings   Settings
	coming     *coming
	comingMost time.Duration // that a message may take to come
	patience   time.Duration // with a client that does not take an answer of its stream
	pings      time.Duration // that a client leaves between two pings at least
	methods    []method
}

// New prepares a server. It fails when the address reaches beyond loopback without Auth.
func New(settings Settings) (*Server, error) {
	host, _, err := net.SplitHostPort(settings.Listen)
	if err != nil {
		return nil, fmt.Errorf("gateway.grpc_listen = %q: %w; write address:port, such as 127.0.0.1:8001", settings.Listen, err)
	}
	if address := net.ParseIP(host); settings.Auth == nil && host != "localhost" && (address == nil || !address.IsLoopback()) {
		return nil, fmt.Errorf("gateway.grpc_listen = %q is reachable from other machines and there is no [auth]; listen on 127.0.0.1", settings.Listen)
	}
	takeDeflate()
	return &Server{settings: withDefaults(settings), coming: newComing(messagesMost), comingMost: gateway.BodyTimeout, patience: answerTimeout,
		pings: clientPause, methods: methods()}, nil
}

func withDefaults(settings Settings) Settings {
	if settings.MaxConnections == 0 {
		settings.MaxConnections = connectionsMost
	}
	if settings.MaxPerAddress == 0 {
		settings.MaxPerAddress = perAddressMost
	}
	if settings.Log == nil {
		settings.Log = requestlog.New(requestlog.Refused)
	}
	return settings
}

// Listen takes the address of the settings. It fails when the port is taken.
func (s *Server) Listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.settings.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken by another program; change gateway.grpc_listen: %w", s.settings.Listen, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on gateway.grpc_listen = %q: %w", s.settings.Listen, err)
	}
	return listener, nil
}

// Serve answers at a listener, which it closes, until ctx ends.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := s.build()
	failed := make(chan error, 1)
	inside := connlimit.New(s.settings.MaxConnections, s.settings.MaxPerAddress, s.settings.Proxies.Hold)
	go func() { failed <- server.Serve(inside.Listener(listener)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve gRPC at %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	cut := time.AfterFunc(stopTimeout, server.Stop)
	defer cut.Stop()
	server.GracefulStop()
	if err := <-failed; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("stop the gRPC server: %w", err)
	}
	return nil
}

func (s *Server) build() *grpc.Server {
	secured := insecure.NewCredentials()
	if s.settings.TLS != nil {
		secured = credentials.NewTLS(s.settings.TLS)
	}
	options := []grpc.ServerOption{
		grpc.Creds(frameCounting{secured}),
		grpc.ForceServerCodecV2(codec{}), grpc.MaxConcurrentStreams(callsMost), grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(connectionWindow),
		grpc.MaxHeaderListSize(headersMost), grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleMost, Time: pingPause}), grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: s.pings, PermitWithoutStream: true}),
		grpc.UnknownServiceHandler(s.serve(method{name: otherMethod, least: auth.Viewer, answer: unknown})),
	}
	server := grpc.NewServer(options...)
	description := grpc.ServiceDesc{ServiceName: serviceName, HandlerType: (*any)(nil)}
	for _, one := range s.methods {
		description.Streams = append(description.Streams, grpc.StreamDesc{StreamName: one.name, Handler: s.serve(one),
			ClientStreams: one.streams, ServerStreams: one.streams})
	}
	server.RegisterService(&description, s)
	return server
}

// otherMethod stands for all that are not served.
const otherMethod = "other"

func unknown(context.Context, *Server, grpc.ServerStream) error {
	return status.Error(codes.Unimplemented, "This call is not answered here: send pictures with ModelInfer, as many at the same time as you like, or with ModelStreamInfer.")
}

// SPDX-License-Identifier: Apache-2.0

// Package web serves the page, the API, the live pictures and the metrics.
//
// The way of a request: guard.go decides whether it is answered at all, routes.go names who answers. The way of a picture:
// Take (viewers.go) keeps the newest, one encoder per camera (studio.go) turns it into bytes that all viewers share,
// mjpeg.go, live.go and snapshot.go send them.
package web

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/clientnet"
	"visavis/capture/internal/connlimit"
	"visavis/capture/internal/quota"
	"visavis/capture/internal/requestlog"
)

// Settings of the server. Zero limits take the defaults.
type Settings struct {
	Listen     string            // address:port; without Auth only loopback is accepted
	Proxies    clientnet.Proxies // whose X-Forwarded headers are believed
	Hosts      []string          // Host names accepted beside loopback's, the bound address, Device and Device.local
	Device     string
	Version    string
	Encode     EncodeJPEG
	Detections EncodeDetections
	Guests     Guests
	Events     Events     // nil: there are none to ask for
	Thumbnails Thumbnails // nil: events have no pictures

	TLS         *tls.Config   // nil = http
	Auth        *auth.Gate    // nil = no login, everyone may do everything
	SessionMost time.Duration // how long a browser keeps the session's cookie

	Log *requestlog.Log // default: of what is refused
	// MaxConnections and MaxPerAddress are open at once beside WebSockets, in all and from one address; default 8192 and 1024.
	MaxConnections, MaxPerAddress int
	WriteTimeout                  time.Duration // a viewer that cannot take one frame in this time is closed, default 5 s
	// BodyTimeout and AnswerTimeout are how long a client may take to send what it asks with, default 10 s, and to take an answer that
	// is no stream, default 60 s.
	BodyTimeout, AnswerTimeout time.Duration
}

const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 60 * time.Second
	shutdownTimeout   = 2 * time.Second
	maxHeaderBytes    = 16 << 10
)

// Server is the web side of the appliance and a leaf of the hub. Make it with New.
type Server struct {
	settings Settings
	view     View
	hosts    map[string]bool
	metrics  *metrics
	statuses *statuses
	viewers  *quota.Quota
	assets   map[string]asset
	routes   []route
	boot     string // tells this process's pictures from those of the one before, in ETags

	mu          sync.Mutex
	studios     map[string]*studio
	studioCount uint64
	removals    uint64 // of cameras
	closed      bool
	working     sync.WaitGroup // the studios' encoders, and the WebSockets, for which net/http does not wait

	listening chan struct{} // closed when there is a listener
}

// New prepares a server. It fails when the address is not one to listen on or reaches beyond loopback without Auth.
func New(settings Settings, view View) (*Server, error) {
	if settings.Auth == nil {
		if err := requireLoopback(settings.Listen); err != nil {
			return nil, err
		}
	}
	assets, err := loadAssets()
	if err != nil {
		return nil, fmt.Errorf("load the page: %w", err)
	}
	s := &Server{
		settings: withDefaults(settings), view: view, assets: assets, boot: rand.Text()[:8],
		studios: map[string]*studio{}, listening: make(chan struct{}),
	}
	s.hosts = allowedHosts(s.settings)
	s.metrics = newMetrics(s)
	s.viewers = quota.New(viewersMost)
	s.statuses = newStatuses()
	s.routes = s.table()
	return s, requireRoles(s.routes)
}

func withDefaults(settings Settings) Settings {
	if settings.Log == nil {
		settings.Log = requestlog.New(requestlog.Refused)
	}
	if settings.MaxConnections == 0 {
		settings.MaxConnections = 8192
	}
	if settings.MaxPerAddress == 0 {
		settings.MaxPerAddress = 1024
	}
	if settings.WriteTimeout == 0 {
		settings.WriteTimeout = 5 * time.Second
	}
	if settings.BodyTimeout == 0 {
		settings.BodyTimeout = 10 * time.Second
	}
	if settings.AnswerTimeout == 0 {
		settings.AnswerTimeout = time.Minute
	}
	return settings
}

// requireLoopback is a second lock beside the configuration's own check: without logins nothing may be reachable from
// another machine.
func requireLoopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("web.listen = %q: %w; write address:port, such as 127.0.0.1:8080", listen, err)
	}
	if isLoopback(host) {
		return nil
	}
	return fmt.Errorf("web.listen = %q is reachable from other machines and there is no [auth]; listen on 127.0.0.1", listen)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// Listening is closed once requests can come.
func (s *Server) Listening() <-chan struct{} { return s.listening }

// Serve answers at a listener, which it closes, until ctx ends; then every stream ends and Serve returns nil.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	defer s.closeStudios()
	handlers, endHandlers := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endHandlers(errStops)
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		WriteTimeout:      s.settings.AnswerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return handlers },
		ConnContext:       keepConnection,
		ConnState:         s.admitting(),
		ErrorLog:          newServerLog(),
	}
	failed := make(chan error, 1)
	go func() { failed <- s.serveAt(listener, server) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	s.closeStudios() // viewers are told before their requests end
	endHandlers(errStops)
	return stop(server, failed)
}

// admitting bounds the connections. WebSockets have bounds of their own: their connections have left.
func (s *Server) admitting() func(net.Conn, http.ConnState) {
	inside := connlimit.New(s.settings.MaxConnections, s.settings.MaxPerAddress, s.settings.Proxies.Hold)
	return func(connection net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			inside.Admit(connection)
		case http.StateClosed, http.StateHijacked:
			inside.Leave(connection)
		}
	}
}

func (s *Server) serveAt(listener net.Listener, server *http.Server) error {
	if s.settings.TLS == nil {
		return server.Serve(listener)
	}
	server.TLSConfig = s.settings.TLS
	server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // no HTTP/2: WebSockets need HTTP/1.1
	return server.ServeTLS(plainListener{listener, s}, "", "")
}

// stop lets answers that are under way finish for a moment, then cuts them off.
func stop(server *http.Server, failed <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close() // only says that a connection was already broken
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("stop the web server: %w", err)
	}
	return nil
}

// notListening is why nobody can listen at an address, with the remedy where there is one.
func notListening(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is taken by another program; change web.listen in the configuration, or VISAVIS_HTTP_PORT for `make run`: %w", address, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s has a port that only root may use; change web.listen to a port of 1024 or above: %w", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine; change web.listen to one that `ip address` shows: %w", address, err)
	default:
		return fmt.Errorf("listen on web.listen = %q: %w", address, err)
	}
}

// Listen takes the address of the settings; Serve answers there. It fails when the port is taken.
func (s *Server) Listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.settings.Listen)
	if err != nil {
		return nil, notListening(s.settings.Listen, err)
	}
	close(s.listening)
	return listener, nil
}

// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/backoff"
	"visavis/capture/internal/brokeraddress"
	"visavis/capture/internal/outbox"
	"visavis/capture/internal/state"
	"visavis/capture/internal/updown"
)

// link keeps one connection after another to one broker. Each form in which things are told has its own: a connection has one will.
type link struct {
	settings Settings
	name     string // what is told of this link, such as mqtt or mqtt/frigate
	form     string // "" for the native topics
	client   string // what the broker calls us
	address  string
	secure   bool
	patience time.Duration                // for a broker that accepts us
	events   *outbox.Outbox               // nil: none are sent
	stats    atomic.Pointer[func() Stats] // where the figures come from; nil: nowhere
	opened   atomic.Uint64                // connections on which a CONNECT went out, whatever came of it
	online   atomic.Bool
	away     atomic.Pointer[string] // why there is no broker, nil before the first try and while there is one
	log      *updown.Teller         // of the goroutine of keep
	trust    *state.Fault           // of the certificates
	alone    sync.Mutex             // what is written long has it: paho breaks off what waits for its turn for longer than writeTimeout
}

// will is what the broker says for us when we are gone.
type will struct {
	topic   string
	payload []byte
	Delivery
}

// newLink checks the settings, but not what is in the files that they name: that may be mended while we run. It does not connect. form
// is "" for the native topics.
func newLink(s Settings, form string) (*link, error) {
	address, secure, err := s.address()
	if err != nil {
		return nil, err
	}
	if err := s.paired(); err != nil {
		return nil, err
	}
	l := &link{settings: s, name: s.section(), form: form, address: address, secure: secure, patience: connectTimeout, log: updown.New(time.Now), trust: faultOfCertificates(s)}
	if form != "" {
		l.name += "/" + form
	}
	l.client = "visavis-" + l.folder()
	return l, nil
}

// Connected reports whether the broker is there.
func (l *link) Connected() bool { return l.online.Load() }

// Error says why the broker is away, with the setting and the remedy; "" while it is there and before the first try.
func (l *link) Error() string {
	if why := l.away.Load(); why != nil {
		return *why
	}
	return ""
}

// EventsFrom sets the outbox that keeps events until a broker has acknowledged them. Call it before Run; the outbox stays the
// caller's to close. Without one no events are sent.
func (l *link) EventsFrom(events *outbox.Outbox) { l.events = events }

// StatsFrom sets where the figures come from.
func (l *link) StatsFrom(read func() Stats) { l.stats.Store(&read) }

func (l *link) setOnline(online bool) {
	if online {
		l.away.Store(nil)
		if l.log.Back() {
			slog.Info("broker connected", "url", l.settings.URL, "as", l.client)
		}
	}
	l.online.Store(online)
}

// endedSoon is the remedy for what goes on for ever, at both devices, and of which a broker says nothing.
const endedSoon = "; if it goes on so, another device may have this device.id, and the broker ends the older connection of two"

// keep runs one session after another until ctx ends. A broker that is away is never an error.
func (l *link) keep(ctx context.Context, session func(ctx context.Context, reached func()) error) error {
	wait := backoff.New(firstRetry, mostRetry)
	for {
		var reached time.Time
		err := session(ctx, func() { reached = time.Now() })
		if ctx.Err() != nil {
			return nil
		}
		what := fromAnyPort(err)
		why := what
		if !reached.IsZero() && !wait.Ran(time.Since(reached)) {
			why += endedSoon
		}
		l.away.Store(&why)
		if l.log.Lost(what) {
			slog.Warn("broker away, trying again", "url", l.settings.URL, "error", why)
		}
		if !wait.Wait(ctx) {
			return nil
		}
	}
}

// connect returns when the broker has accepted us, refused us, or ctx ended.
func (l *link) connect(ctx context.Context, last will, gone chan<- error) (*connection, error) {
	keys, err := l.keys(ctx)
	if err != nil {
		return nil, err
	}
	dial := &dialer{ctx: ctx, tls: keys.certificates, most: l.patience, opened: &l.opened}
	options := paho.NewClientOptions().AddBroker(l.address).SetCustomOpenConnectionFn(dial.open).
		SetClientID(l.client).SetUsername(l.settings.User).SetPassword(keys.password).
		SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).SetOrderMatters(true).
		SetProtocolVersion(4).SetKeepAlive(keepAlive).SetConnectTimeout(l.patience).SetWriteTimeout(writeTimeout).
		SetBinaryWill(last.topic, last.payload, last.QoS, last.Retain).
		SetConnectionLostHandler(func(_ paho.Client, err error) { gone <- err })
	client := paho.NewClient(options)
	token := client.Connect()
	<-token.Done() // bounded by the patience and by ctx, so that no goroutine outlives Run
	dial.keep()
	if err := token.Error(); err != nil {
		return nil, l.settings.refused(err)
	}
	return &connection{client, dial}, nil
}

// keys are what lets us in. They are read anew for each connection, for they may have been renewed.
type keys struct {
	password     string
	certificates *tls.Config // nil: without TLS
	err          error
}

// keys reads them, and leaves a disk that hangs behind when ctx ends.
func (l *link) keys(ctx context.Context) (keys, error) {
	read := make(chan keys, 1)
	go func() { read <- l.settings.keys(l.secure) }()
	select {
	case now := <-read:
		return now, now.err
	case <-ctx.Done():
		return keys{}, ctx.Err()
	}
}

func (s Settings) keys(secure bool) (k keys) {
	if k.password, k.err = s.password(); k.err == nil {
		k.certificates, k.err = s.tls(secure)
	}
	return k
}

// connection is a client of the broker, and what it speaks over.
type connection struct {
	paho.Client
	dial *dialer
}

// end closes the connection: in order if the broker was told that we go, else without a word, for then it says our will.
func (c *connection) end(told bool) {
	if !told {
		c.dial.cut()
	}
	c.Disconnect(disconnectMs)
}

// eventStats are the outbox's figures, all 0 without one.
func (l *link) eventStats() outbox.Stats {
	if l.events == nil {
		return outbox.Stats{}
	}
	return l.events.Stats()
}

// EventsWaiting is the number of events that no broker has acknowledged.
func (l *link) EventsWaiting() uint64 { return l.eventStats().Waiting }

// EventsLost counts the events that were given up: too many or too old, no disk, or damage on it.
func (l *link) EventsLost() uint64 {
	s := l.eventStats()
	return s.Dropped + s.Corrupt
}

// waitForEvents gives the broker a moment to take the events of the end; what it does not take waits on disk for the next start.
func (l *link) waitForEvents() {
	const look = 5 * time.Millisecond
	for until := time.Now().Add(farewellMost); l.EventsWaiting() > 0 && time.Now().Before(until); {
		time.Sleep(look)
	}
}

// farewell says the last word itself, for after an orderly end the broker does not send the will.
func farewell(client paho.Client, last will) error {
	token := client.Publish(last.topic, last.QoS, last.Retain, last.payload)
	if !token.WaitTimeout(farewellMost) {
		return errNotTaken
	}
	return token.Error()
}

// folder is the name of what this link keeps on disk, and part of its client id: no other link of any device has it, for no device has
// a dot in its name.
func (l *link) folder() string {
	name := l.settings.Device + l.settings.suffix()
	if l.form != "" {
		return name + "." + l.form
	}
	return name
}

// owner is who gets what waits on this link.
func (l *link) owner() owner { return ownerAt(brokeraddress.Of(l.address), l.form) }

// state is what is known of the broker now.
func (l *link) state() BrokerState {
	return BrokerState{Name: l.name, Connected: l.Connected(), Error: l.Error(), Waiting: l.EventsWaiting(), Lost: l.EventsLost()}
}

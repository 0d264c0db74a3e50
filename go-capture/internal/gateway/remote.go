// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"visavis/capture/internal/openinference"
)

// Call is a request for a model that came over another wire than HTTP.
type Call struct {
	Model, Version string
	Request        openinference.Request
}

// Caller is who sends over another wire: the login or token, "" where nobody needs one, and the address.
type Caller struct {
	Account string
	Address netip.Addr
}

// Holder is whose share a caller's is: a login's wherever it calls from, and without one its address's.
func (c Caller) Holder() Caller {
	holder := sender{c.Account, c.Address}.holder()
	return Caller{holder.account, holder.address}
}

// Message is one of a call, in memory that counts as that of a body over HTTP does.
type Message struct{ body }

// Bytes are the message's; nothing of them may be used after Release.
func (m *Message) Bytes() []byte { return m.bytes }

// Release gives the memory back. It may be called for no message, and more than once.
func (m *Message) Release() {
	if m != nil {
		m.release()
	}
}

// Take reads a message as a body is read: its memory grows with what has come, and a caller that holds much is refused more. An error is
// a Refusal, or what reading ended with.
func (g *Gateway) Take(from Caller, message io.Reader, most int) (*Message, error) {
	m := &Message{body{share: g.bodies.of(sender{from.Account, from.Address})}}
	err := m.read(message, most)
	if err == nil {
		return m, nil
	}
	m.release()
	if errors.Is(err, errTooLong) || errors.Is(err, errNoRoom) {
		return nil, g.bodyError(err)
	}
	return nil, err
}

// Infer answers a picture as ServeInfer does. read takes it from the wire; it is called when there is a chance that it is answered.
// An error is a Refusal.
func (g *Gateway) Infer(ctx context.Context, from Caller, read func() (Call, error)) (Call, []openinference.Face, error) {
	g.tally.begin()
	if !g.door.enter() {
		g.tally.end(reasonStopping)
		return Call{}, nil, Stopping()
	}
	defer g.door.leave()
	call, faces, err := g.inferRead(ctx, sender{from.Account, from.Address}, read)
	if err != nil {
		return Call{}, nil, g.tally.refused(err)
	}
	g.tally.end(outcomeAnswered)
	return call, faces, nil
}

func (g *Gateway) inferRead(ctx context.Context, client sender, read func() (Call, error)) (Call, []openinference.Face, error) {
	if err := g.letIn(client, g.input); err != nil {
		return Call{}, nil, err
	}
	call, err := read()
	if err != nil {
		return Call{}, nil, refusedInference(err)
	}
	if err := g.KnowsModel(call.Model, call.Version); err != nil {
		return Call{}, nil, err
	}
	held, share := int64(len(call.Request.Encoded)+len(call.Request.Pixels)), g.bodies.of(client)
	if !share.take(held) {
		return Call{}, nil, busy(time.Second)
	}
	defer share.giveBack(held)
	faces, err := g.infer(ctx, client, call.Request)
	return call, faces, err
}

// OpenStream takes one of the streams that gateway.streams allows, for a client over another wire. Whoever gets one calls release.
func (g *Gateway) OpenStream(by Caller) (release func(), err error) {
	client := sender{by.Account, by.Address}
	if g.door.isClosing() {
		return nil, Stopping()
	}
	if err := g.openStream(client); err != nil {
		return nil, err
	}
	end := g.tally.stream()
	return func() {
		end()
		g.sockets.GiveBack(client.account)
	}, nil
}

// AtOnce is how many pictures of one stream are worth taking at the same time: as many as there are workers, and one that is read
// meanwhile.
func (g *Gateway) AtOnce() int {
	workers, _ := g.dispatcher.Capacity(0)
	return workers + 1
}

// Closing ends when the daemon does: what has come is answered, and nothing new is taken.
func (g *Gateway) Closing() <-chan struct{} { return g.door.closing }

// Served are the names under which clients of the Open Inference Protocol find the device and its model.
func (g *Gateway) Served() (openinference.ServerMetadata, openinference.Metadata) {
	return openinference.ServerOf(g.settings.Version), openinference.MetadataOf(g.settings.Model)
}

// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/waiting"
)

var (
	anna  = sender{account: "anna"}
	bert  = sender{account: "bert"}
	carla = sender{account: "carla"}
)

// claimed are claims on memory, by the names that a test gives them.
type claimed struct {
	memory *fairMemory
	names  []string
	claims []*claim
}

func (c *claimed) ask(name string, client sender, bytes int64) *claim {
	made := c.memory.ask(client, bytes)
	c.names, c.claims = append(c.names, name), append(c.claims, made)
	return made
}

// granted are the names of those that have what they asked for.
func (c *claimed) granted() (names []string) {
	for i, made := range c.claims {
		select {
		case <-made.granted:
			names = append(names, c.names[i])
		default:
		}
	}
	return names
}

func (c *claimed) want(t *testing.T, names ...string) {
	t.Helper()
	if got := c.granted(); !slices.Equal(got, names) {
		t.Errorf("%v have memory, want %v", got, names)
	}
}

func TestASmallPictureWaitsForOneLargePictureOfEachOtherClientAndNotForAll(t *testing.T) {
	c := claimed{memory: newFairMemory(48)}
	for _, name := range []string{"first", "second", "third"} {
		c.ask(name, anna, 48)
	}
	c.ask("small", bert, 1)
	c.want(t, "first")
	c.memory.giveBack(48)
	c.want(t, "first", "second") // it was anna's turn before bert came
	c.memory.giveBack(48)
	c.want(t, "first", "second", "small")
	c.memory.giveBack(1)
	c.want(t, "first", "second", "third", "small")
}

func TestNothingGoesPastALargePictureWhoseTurnItIs(t *testing.T) {
	c := claimed{memory: newFairMemory(48)}
	c.ask("small", anna, 1)
	c.ask("large", bert, 48)
	c.ask("another", anna, 1)
	c.want(t, "small")
	c.memory.giveBack(1)
	c.want(t, "small", "large")
}

func TestWhoLeavesHoldsNobodyUp(t *testing.T) {
	c := claimed{memory: newFairMemory(48)}
	first, large := c.ask("first", anna, 24), c.ask("large", bert, 48)
	c.ask("small", carla, 24)
	c.want(t, "first")
	c.memory.leave(bert, large)
	c.want(t, "first", "small")
	c.memory.leave(anna, first)
	c.memory.giveBack(24)
	if c.memory.free != 48 || len(c.memory.claims) != 0 || len(c.memory.turns) != 0 {
		t.Errorf("%d bytes are free, %v wait", c.memory.free, c.memory.turns)
	}
}

func TestWhoseTimeIsOverHasNoMemory(t *testing.T) {
	memory := newFairMemory(48)
	if err := memory.take(context.Background(), anna, 48); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := memory.take(over, bert, 1); err == nil {
		t.Error("it has memory that there is none of")
	}
	memory.giveBack(48)
	if memory.free != 48 {
		t.Errorf("%d bytes are free, want 48", memory.free)
	}
}

// waits is how many claims wait.
func (m *fairMemory) waits() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, claims := range m.claims {
		n += len(claims)
	}
	return n
}

func TestWhoHasManyAddressesHasNotAsManyTurns(t *testing.T) {
	one := sender{address: netip.MustParseAddr("2001:db8::1")}
	two := sender{address: netip.MustParseAddr("2001:db8::2")}
	memory, order := newFairMemory(1), make(chan string, 3)
	memory.ask(anna, 1)
	for n, client := range []sender{one, two, bert} {
		go func() {
			if memory.take(waiting.Context(t), client, 1) == nil {
				order <- client.account
			}
		}()
		waiting.Until(t, "it waits", func() bool { return memory.waits() == n+1 })
	}
	for n, want := range []string{"", "bert", ""} {
		memory.giveBack(1)
		if got := waiting.For(t, "one has memory", order); got != want {
			t.Errorf("number %d is %q, want %q", n, got, want)
		}
	}
}

func TestClientsTakeTurnsWithTheMemoryForDecoding(t *testing.T) {
	for what, decode := range map[string]func(*lender, request) error{
		"of pictures that are sent": func(l *lender, r request) error {
			_, release, err := l.decode(waiting.Context(t), r, 1)
			if err == nil {
				release()
			}
			return err
		},
		"of pictures that are pushed": func(l *lender, r request) error {
			sent := &Pushed{parcel: parcel{picture: &body{bytes: r.body, share: l.bodies.of(r.client)}}, feed: l.feed}
			return sent.decode(waiting.Context(t), &frame.Picture{})
		},
	} {
		l := openLender(t)
		if got := l.decodedInTurn(decode, anna, anna, bert); !slices.Equal(got, []int{48, 46, 47}) {
			t.Errorf("%s, those of %v rows have it in turn, want 48, 46, 47", what, got)
		}
	}
}

// decodedInTurn has each client's picture of 48 rows, 47, and so on wait for memory, which is for one at a time. It returns the rows of
// those that have been decoded, in order.
func (l *lender) decodedInTurn(decode func(*lender, request) error, clients ...sender) (rows []int) {
	l.t.Helper()
	l.settings.Tools.Decode = func(_ []byte, header Header, _ int, _ *frame.Picture) error {
		rows = append(rows, header.Height)
		return nil
	}
	all := int64(Header{Type: jpegType, Width: 64, Height: 48, Orientation: 1}.Cost(1))
	l.decoding = newFairMemory(all)
	l.decoding.ask(carla, all)
	ended := make(chan error, len(clients))
	for n, client := range clients {
		picture, header, err := Inspect(drawing(l.t, 64, 48-n), jpegType, l.settings.Limits)
		if err != nil {
			l.t.Fatal(err)
		}
		go func() { ended <- decode(l, request{client: client, body: picture, header: header}) }()
		waiting.Until(l.t, "it waits", func() bool { return l.decoding.waits() == n+1 })
	}
	l.decoding.giveBack(all)
	for range clients {
		if err := waiting.For(l.t, "it is decoded", ended); err != nil {
			l.t.Error(err)
		}
	}
	return rows
}

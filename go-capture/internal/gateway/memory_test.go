// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"slices"
	"testing"
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

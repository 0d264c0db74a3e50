// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"visavis/capture/internal/brokeraddress"
	"visavis/capture/internal/outbox"
	"visavis/capture/internal/state"
)

// An outbox belongs to a broker and a form. On disk its folder is called by their section of the configuration, as releases know it that
// ask for no owner; when the broker is in another section, its folder moves. The outbox itself remembers its owner, so a move that was
// cut off goes on with the next start, and no list of folders can be lost.

// owner is a broker and a form. The upper half is the host and the form, the lower one the rest of the address. 0 is not known.
type owner uint64

func ownerAt(at brokeraddress.Place, form string) owner {
	return owner(hashed(at.Host, form))<<32 | owner(hashed(at.Scheme, at.Port, at.Path))
}

func hashed(parts ...string) uint32 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(strings.Join(parts, "\n"))) // a hash takes everything
	return sum.Sum32()
}

func (o owner) sameHost(as owner) bool { return o>>32 == as>>32 }

// slot is where the events of a form have to be.
type slot struct {
	name  string
	owner owner
	box   *box // that belongs there; nil: none
}

// box is a folder of events.
type box struct {
	name  string
	owner owner
	left  *outbox.Left
	taken bool // by a slot
}

// boxes are the folders of a device, and where they have to be.
type boxes struct {
	device string
	slots  []slot
	all    []*box
	others map[string]bool // names of folders that another release wrote
}

// move is from one name to another.
type move struct{ from, to string }

// moveAlong moves a device's folders of events to where the forms have their brokers now, and those of no form out of the way.
func moveAlong(base, device string, waiting []form) {
	found, err := findBoxes(base, device, waiting)
	defer found.release()
	if errors.Is(err, state.ErrInUse) {
		return // another daemon has some, and sends them
	}
	if err == nil {
		found.assign()
		err = carryOut(base, found.moves())
	}
	if err != nil {
		slog.Warn("waiting events cannot follow a broker to another section, and go out to the one that their section names now", "error", err)
	}
}

// foldersOf are the folders in which events of a device are.
func foldersOf(base, device string) (paths []string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return nil // none yet, or a disk that the outboxes complain of
	}
	for _, entry := range entries {
		if whose, _, _ := strings.Cut(entry.Name(), "."); entry.IsDir() && whose == device {
			paths = append(paths, filepath.Join(base, entry.Name()))
		}
	}
	return paths
}

// findBoxes reads all folders of a device, which has these forms.
func findBoxes(base, device string, waiting []form) (*boxes, error) {
	found := &boxes{device: device, others: map[string]bool{}}
	if err := takeBack(base, device, waiting); err != nil {
		return found, err
	}
	for _, path := range foldersOf(base, device) {
		if err := found.add(path); err != nil {
			return found, err
		}
	}
	for _, f := range waiting {
		found.slots = append(found.slots, slot{name: found.nameFor(f), owner: f.owner()})
	}
	return found, nil
}

// takeBack lets our folders take the places of another release's that have gone. On a disk that can only be read it asks for nothing that
// is not there: that would fail as well.
func takeBack(base, device string, waiting []form) error {
	there := foldersOf(base, device)
	for _, f := range waiting {
		at := outbox.Folders(filepath.Join(base, f.folder()))
		if !slices.Contains(there, at[1]) {
			continue
		}
		if err := outbox.TakeBack(at[0]); err != nil {
			return err
		}
	}
	return nil
}

func (b *boxes) add(path string) error {
	left, err := outbox.Look(path)
	var other *state.VersionError
	if errors.As(err, &other) {
		b.others[filepath.Base(path)] = true
		return nil
	}
	if err == nil {
		b.all = append(b.all, &box{name: filepath.Base(path), owner: owner(left.Owner), left: left})
	}
	return err
}

// nameFor is where a form's events are: beside those of another release, if such are there.
func (b *boxes) nameFor(f form) string {
	at := outbox.Folders(f.folder())
	if b.others[at[0]] {
		return at[1]
	}
	return at[0]
}

func (b *boxes) release() {
	for _, one := range b.all {
		one.left.Release()
	}
}

// assign gives each slot the folder that belongs there: its broker's, wherever that is; else that of its host's only other broker, which
// has another port now; else the one that is there, whose broker has another address now or was replaced. Events go before nothing.
func (b *boxes) assign() {
	for _, belongs := range []func(*slot, *box) bool{
		func(s *slot, x *box) bool {
			return x.name == s.name && x.waits() && cmp.Or(x.owner, s.owner) == s.owner
		},
		func(s *slot, x *box) bool { return x.owner == s.owner && x.waits() },
		func(s *slot, x *box) bool { return x.owner == s.owner },
		func(s *slot, x *box) bool { return x.name == s.name && x.owner.sameHost(s.owner) },
		func(s *slot, x *box) bool { return x.owner.sameHost(s.owner) && b.onlyOne(x.owner) },
		func(s *slot, x *box) bool { return x.name == s.name },
	} {
		for i := range b.slots {
			b.fill(&b.slots[i], belongs)
		}
	}
}

func (x *box) waits() bool { return x.left.Waiting > 0 }

func (b *boxes) fill(s *slot, belongs func(*slot, *box) bool) {
	for _, x := range b.all {
		if s.box == nil && !x.taken && belongs(s, x) {
			s.box, x.taken = x, true
		}
	}
}

// onlyOne tells that one slot and one folder of a host are left, so that they belong together for sure.
func (b *boxes) onlyOne(of owner) bool {
	slots, boxes := 0, 0
	for _, s := range b.slots {
		if s.box == nil && s.owner.sameHost(of) {
			slots++
		}
	}
	for _, x := range b.all {
		if !x.taken && x.owner.sameHost(of) {
			boxes++
		}
	}
	return slots == 1 && boxes == 1
}

// moves are what is to be done, one after the other. After each of them the next start would come to the same end.
func (b *boxes) moves() (all []move) {
	for _, s := range b.slots {
		if s.box == nil || s.box.name == s.name {
			continue
		}
		if there := b.called(s.name); there != nil {
			all = append(all, there.moveTo(b.spare()))
		}
		all = append(all, s.box.moveTo(s.name))
	}
	for _, x := range b.all {
		if !x.taken && x.owner != 0 && x.waits() && !strings.HasPrefix(x.name, b.device+spareMark) {
			all = append(all, x.moveTo(b.spare())) // another broker in the section must not get it
		}
	}
	return all
}

// spareMark follows the device's name where the events of a broker are that is not told, and a number follows it.
const spareMark = ".aside"

func (x *box) moveTo(name string) move {
	done := move{x.name, name}
	x.name = name
	return done
}

func (b *boxes) called(name string) *box {
	for _, x := range b.all {
		if x.name == name {
			return x
		}
	}
	return nil
}

// spare is a name that no folder has and no form uses.
func (b *boxes) spare() string {
	for n := 1; ; n++ {
		name := fmt.Sprint(b.device, spareMark, n)
		if b.called(name) == nil && !b.others[name] {
			return name
		}
	}
}

// carryOut renames one folder after the other, until one fails.
func carryOut(base string, moves []move) error {
	for _, m := range moves {
		if err := os.Rename(filepath.Join(base, m.from), filepath.Join(base, m.to)); err != nil {
			return err
		}
		slog.Info("a folder of waiting events has another name, for their broker is in another section now, or in none", "folder", base, "from", m.from, "to", m.to)
	}
	if len(moves) == 0 {
		return nil
	}
	folder, err := os.Open(base)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"visavis/capture/internal/brokeraddress"
	"visavis/capture/internal/logtest"
	"visavis/capture/internal/outbox"
	"visavis/capture/internal/state"
	"visavis/capture/internal/waiting"
)

// told are the brokers of [mqtt] and [mqtt_second], in the native form alone if no others are named. "" is none.
type told struct {
	urls    [2]string
	formats []string
}

func (c told) settings() (each []Settings) {
	for i, url := range c.urls {
		if url != "" {
			each = append(each, Settings{Section: []string{"mqtt", "mqtt_second"}[i], URL: url, Prefix: "visavis", FrigatePrefix: "frigate",
				Device: "porch", Formats: c.formats})
		}
	}
	return each
}

// tester is what a test and a property have.
type tester interface {
	Helper()
	Fatal(args ...any)
	Errorf(format string, args ...any)
}

// start is that of a daemon whose brokers are all away.
func (c told) start(t tester, folder string) (b *Brokers, stop func()) {
	t.Helper()
	each := c.settings()
	closeOwn := func(context.Context) error { return nil }
	if len(each) > 0 {
		var err error
		if b, err = NewBrokers(each...); err != nil {
			t.Fatal(err)
		}
		if closeOwn, err = b.Keep(folder, ""); err != nil {
			t.Fatal(err)
		}
	}
	closeOthers := b.LetOthersAge(folder, "porch")
	return b, func() {
		for _, end := range []func(context.Context) error{closeOwn, closeOthers} {
			if err := end(context.Background()); err != nil {
				t.Errorf("%v", err)
			}
		}
	}
}

// append leaves an event for each broker and form that says for which.
func (c told) append(t tester, folder string) {
	t.Helper()
	b, stop := c.start(t, folder)
	defer stop()
	for _, l := range b.links() {
		if err := l.events.Append("porch/events", []byte(l.name+" at "+l.settings.URL)); err != nil {
			t.Fatal(err)
		}
	}
}

// links are those with an outbox.
func (b *Brokers) links() (links []*link) {
	for _, f := range b.withOutbox() {
		links = append(links, linkOf(f))
	}
	return links
}

// waitFor are the events that would go to each link.
func (c told) waitFor(t tester, folder string) map[string][]string {
	t.Helper()
	b, stop := c.start(t, folder)
	defer stop()
	found := map[string][]string{}
	for _, l := range b.links() {
		for range l.events.Stats().Waiting {
			record, err := l.events.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			found[l.name] = append(found[l.name], string(record.Payload))
		}
	}
	return found
}

const (
	homeURL      = "mqtt://192.0.2.1"
	plantURL     = "mqtt://192.0.2.2"
	otherURL     = "mqtt://192.0.2.3"
	homeMovedURL = "mqtts://192.0.2.1"
)

func TestWaitingEventsFollowTheirBroker(t *testing.T) {
	ofHome, ofPlant := []string{"mqtt at " + homeURL}, []string{"mqtt_second at " + plantURL}
	for change, c := range map[string]struct {
		then [][2]string // one configuration after another
		want map[string][]string
	}{
		"nothing changes":                         {[][2]string{{homeURL, plantURL}}, map[string][]string{"mqtt": ofHome, "mqtt_second": ofPlant}},
		"the address is written otherwise":        {[][2]string{{homeURL + ":1883", plantURL}}, map[string][]string{"mqtt": ofHome, "mqtt_second": ofPlant}},
		"two change places":                       {[][2]string{{plantURL, homeURL}}, map[string][]string{"mqtt": ofPlant, "mqtt_second": ofHome}},
		"they change back":                        {[][2]string{{plantURL, homeURL}, {homeURL, plantURL}}, map[string][]string{"mqtt": ofHome, "mqtt_second": ofPlant}},
		"one takes the place of one that is gone": {[][2]string{{plantURL}}, map[string][]string{"mqtt": ofPlant}},
		"the one that was gone is back": {[][2]string{{plantURL}, {plantURL, homeURL}},
			map[string][]string{"mqtt": ofPlant, "mqtt_second": ofHome}},
		"one moves and another comes": {[][2]string{{otherURL, homeURL}}, map[string][]string{"mqtt_second": ofHome}},
		"section and port change at once": {[][2]string{{plantURL, homeMovedURL}},
			map[string][]string{"mqtt": ofPlant, "mqtt_second": ofHome}},
		"the port changes":          {[][2]string{{homeMovedURL, plantURL}}, map[string][]string{"mqtt": ofHome, "mqtt_second": ofPlant}},
		"one has another address":   {[][2]string{{otherURL, plantURL}}, map[string][]string{"mqtt": ofHome, "mqtt_second": ofPlant}},
		"none is told for a while":  {[][2]string{{}, {homeURL, plantURL}}, map[string][]string{"mqtt": ofHome, "mqtt_second": ofPlant}},
		"another one after a while": {[][2]string{{}, {otherURL}}, map[string][]string{}},
		"another second after a while": {[][2]string{{homeURL}, {homeURL, otherURL}, {homeURL, plantURL}},
			map[string][]string{"mqtt": ofHome, "mqtt_second": ofPlant}},
	} {
		t.Run(change, func(t *testing.T) {
			folder := t.TempDir()
			told{urls: [2]string{homeURL, plantURL}}.append(t, folder)
			last := told{}
			for _, urls := range c.then {
				last = told{urls: urls}
				_, stop := last.start(t, folder)
				stop()
			}
			if got := last.waitFor(t, folder); !maps.EqualFunc(got, c.want, slices.Equal) {
				t.Errorf("%v wait, want %v", got, c.want)
			}
		})
	}
}

func TestEachFormHasItsEventsWhereverTheBrokerIs(t *testing.T) {
	folder, both := t.TempDir(), []string{"native", "frigate"}
	told{[2]string{homeURL, plantURL}, both}.append(t, folder)
	_, stop := told{[2]string{plantURL, homeURL}, []string{"native"}}.start(t, folder) // a form goes for a while
	stop()
	got := told{[2]string{plantURL, homeURL}, both}.waitFor(t, folder)
	for now, before := range map[string]string{
		"mqtt": "mqtt_second at " + plantURL, "mqtt/frigate": "mqtt_second/frigate at " + plantURL,
		"mqtt_second": "mqtt at " + homeURL, "mqtt_second/frigate": "mqtt/frigate at " + homeURL,
	} {
		if !slices.Equal(got[now], []string{before}) {
			t.Errorf("%s gets %v, want %s", now, got[now], before)
		}
	}
}

// What an earlier release wrote names no owner: it belongs to the broker of its section, and from then on to that broker.
func TestFoldersOfAnEarlierReleaseAreTakenOverByTheFirstStart(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"porch", "porch.second"} {
		if err := waits(t, folder, name, 3).Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	_, stop := told{urls: [2]string{homeURL, plantURL}}.start(t, folder)
	stop()
	if err := waits(t, folder, "porch", 1).Close(context.Background()); err != nil { // that release once more
		t.Fatal(err)
	}
	got := told{urls: [2]string{plantURL, homeURL}}.waitFor(t, folder)
	if len(got["mqtt"]) != 3 || len(got["mqtt_second"]) != 4 {
		t.Errorf("%v", got)
	}
}

// What a newer release left in a section's folder stays there, and ours moves beside it and away again.
func TestWhatAnotherReleaseWroteStaysWhileOursMoves(t *testing.T) {
	folder := t.TempDir()
	now, swapped := told{urls: [2]string{homeURL, plantURL}}, told{urls: [2]string{plantURL, homeURL}}
	if err := waits(t, folder, "porch", 3).Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	segment := filepath.Join(folder, outboxFolder, "porch", "00000000000000000001.events")
	newer := ofVersion2(t, segment)
	now.append(t, folder)
	for range 2 {
		got := swapped.waitFor(t, folder)
		if !slices.Equal(got["mqtt"], []string{"mqtt_second at " + plantURL}) || !slices.Equal(got["mqtt_second"], []string{"mqtt at " + homeURL}) {
			t.Errorf("after the exchange %v wait", got)
		}
		got = now.waitFor(t, folder)
		if !slices.Equal(got["mqtt"], []string{"mqtt at " + homeURL}) || !slices.Equal(got["mqtt_second"], []string{"mqtt_second at " + plantURL}) {
			t.Errorf("after it was undone %v wait", got)
		}
	}
	if after, err := os.ReadFile(segment); err != nil || !bytes.Equal(after, newer) {
		t.Errorf("what another release wrote has changed, %v", err)
	}
}

// ofVersion2 makes a segment one of a newer release.
func ofVersion2(t *testing.T, segment string) (raw []byte) {
	t.Helper()
	raw, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	raw[8] = 2 // the version, and the checksum that holds it
	checked := append(append([]byte(nil), raw[:12]...), raw[16:24]...)
	binary.LittleEndian.PutUint32(raw[12:], crc32.Checksum(checked, crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(segment, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return raw
}

// A real broker each: what waits goes out where it belongs, and the order holds.
func TestTwoBrokersThatChangePlacesGetTheirOwnEvents(t *testing.T) {
	first, second := startBroker(t, anybody), startBroker(t, anybody)
	folder := stateFolder(t)
	before := told{urls: [2]string{"mqtt://" + first.address, "mqtt://" + second.address}}
	for range 3 {
		before.append(t, folder)
	}
	first.start()
	second.start()
	atFirst, atSecond := first.subscribe(), second.subscribe()
	startBrokers(t, folder, told{urls: [2]string{before.urls[1], before.urls[0]}}.settings()...)
	for at, want := range map[*subscriber]string{atFirst: "mqtt at " + before.urls[0], atSecond: "mqtt_second at " + before.urls[1]} {
		waiting.Until(t, "its events are there", func() bool { return len(at.all("porch/events")) >= 3 })
		if got := at.all("porch/events"); !slices.Equal(got, []string{want, want, want}) {
			t.Errorf("got %v, want three times %s", got, want)
		}
	}
}

// One configuration comes after another, and a start may be cut off between two moves: whoever has events waiting gets all of them and
// none of anybody else's, and none is lost.
func TestEventsFollowTheirBrokersThroughAnyChangesAndPowerCuts(t *testing.T) {
	addresses := []string{"", homeURL, plantURL, otherURL, "mqtt://192.0.2.4", homeMovedURL}
	rapid.Check(t, func(t *rapid.T) {
		folder, err := os.MkdirTemp("", "moving-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(folder)
		for range rapid.IntRange(2, 5).Draw(t, "configurations") {
			one := rapid.Permutation(addresses).Draw(t, "brokers")
			c := told{urls: [2]string{one[0], one[1]}}
			before := kept(t, folder)
			cutOff(t, folder, c)
			follows(t, folder, c, before)
			c.append(t, folder)
		}
	})
}

// kept are the numbers of waiting events by their owners.
func kept(t tester, folder string) map[owner]uint64 {
	found := map[owner]uint64{}
	for _, path := range foldersOf(filepath.Join(folder, outboxFolder), "porch") {
		left, err := outbox.Look(path)
		if err != nil {
			t.Fatal(err)
		}
		found[owner(left.Owner)] += left.Waiting
		left.Release()
	}
	return found
}

// cutOff begins a start whose power goes between two moves.
func cutOff(t *rapid.T, folder string, c told) {
	var forms []form
	if each := c.settings(); len(each) > 0 {
		b, err := NewBrokers(each...)
		if err != nil {
			t.Fatal(err)
		}
		forms = b.withOutbox()
	}
	base := filepath.Join(folder, outboxFolder)
	found, err := findBoxes(base, "porch", forms)
	defer found.release()
	if err != nil {
		t.Fatal(err)
	}
	found.assign()
	moves := found.moves()
	if err := carryOut(base, moves[:rapid.IntRange(0, len(moves)).Draw(t, "moves")]); err != nil {
		t.Fatal(err)
	}
}

func follows(t *rapid.T, folder string, c told, before map[owner]uint64) {
	b, stop := c.start(t, folder)
	for _, l := range b.links() {
		if had, known := before[l.owner()]; known && l.events.Stats().Waiting != had {
			t.Errorf("%d wait for %s, want %d", l.events.Stats().Waiting, l.settings.URL, had)
		}
	}
	stop()
	sum := func(of map[owner]uint64) (events uint64) {
		for _, n := range of {
			events += n
		}
		return events
	}
	if after := kept(t, folder); sum(after) != sum(before) {
		t.Errorf("%v wait, before it %v", after, before)
	}
}

// waits fills the outbox of that name, as a release without owners did, with events that were never sent.
func waits(t *testing.T, folder, name string, events int) *outbox.Outbox {
	t.Helper()
	kept, err := outbox.Open(outbox.Settings{Folder: filepath.Join(folder, outboxFolder, name)})
	if err != nil {
		t.Fatal(err)
	}
	for range events {
		if err := kept.Append("porch/events", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if err := kept.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close(context.Background()) }) // again where the test did it
	return kept
}

func TestNoEventWaitsForLongerThanSevenDaysForABrokerOrFormThatIsNoLongerTold(t *testing.T) {
	folder := t.TempDir()
	var log bytes.Buffer
	logtest.Hear(t, slog.NewTextHandler(&log, nil))
	told{[2]string{homeURL, plantURL}, []string{"native", "frigate"}}.append(t, folder)
	alone := told{urls: [2]string{plantURL}}
	for _, days := range []time.Duration{0, 6} {
		_, stop := alone.start(t, folder)
		paths := asides(t, folder)
		if len(paths) != 3 || slices.ContainsFunc(paths, func(path string) bool { return !state.Held(path) }) {
			t.Errorf("after %d days %v are open", days, paths)
		}
		if said := strings.Count(log.String(), "they go out if it comes back"); said != 3 {
			t.Errorf("said %d times:\n%s", said, log.String())
		}
		log.Reset()
		stop()
		for _, path := range paths {
			later(t, path, 6*24*time.Hour)
		}
	}
	_, stop := alone.start(t, folder) // twelve days
	stop()
	if left := kept(t, folder); len(left) != 4 || left[owners(t, plantURL)] != 1 {
		t.Errorf("%v wait", left)
	}
	_, stop = alone.start(t, folder)
	stop()
	if paths := asides(t, folder); len(paths) != 0 {
		t.Errorf("%v are left", paths)
	}
}

func owners(t *testing.T, url string) owner {
	t.Helper()
	p := newPublisher(t, Settings{URL: url, Prefix: "visavis", Device: "porch"})
	return p.owner()
}

func asides(t *testing.T, folder string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, outboxFolder, "porch.aside*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// later lets the running time of a folder go on.
func later(t *testing.T, path string, by time.Duration) {
	t.Helper()
	file := filepath.Join(path, "position")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	little := binary.LittleEndian
	for at := 0; at < len(raw); at += 512 {
		slot := raw[at : at+64]
		if slot[0] == 0 {
			continue
		}
		little.PutUint64(slot[32:], little.Uint64(slot[32:])+uint64(by.Milliseconds()))
		checked := append(append([]byte(nil), slot[:12]...), slot[16:]...)
		little.PutUint32(slot[12:], crc32.Checksum(checked, crc32.MakeTable(crc32.Castagnoli)))
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// An owner is on disk: another release must find its own again.
func TestAnOwnerIsTheSameInEveryRelease(t *testing.T) {
	for url, forms := range map[string]map[string]owner{
		homeURL:                     {"": 0x25aed196e24b7d28, frigateForm: 0xb8f3f6aae24b7d28},
		"mqtts://broker.example":    {"": 0xf27ef44e1a7e56ea, frigateForm: 0xd995ace21a7e56ea},
		"wss://broker.example/mqtt": {"": 0xf27ef44e935b9e41, frigateForm: 0xd995ace2935b9e41},
	} {
		for form, want := range forms {
			if got := ownerAt(brokeraddress.Of(url), form); got != want {
				t.Errorf("%s %q is %#x, want %#x", url, form, got, want)
			}
		}
	}
}

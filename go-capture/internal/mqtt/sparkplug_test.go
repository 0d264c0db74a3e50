// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"visavis/capture/internal/hub"
	"visavis/capture/internal/logtest"
	"visavis/capture/internal/waiting"
	"visavis/capture/internal/zone"
)

// These tests read with the same few lines as the program; tests/e2e/test_sparkplug.py reads with an independent decoder.

// birthCertificate is what of a payload these tests look at.
type birthCertificate struct {
	seq     int // -1: none
	metrics map[string]uint64
	texts   map[string]string
}

func readCertificate(t *testing.T, payload string) birthCertificate {
	t.Helper()
	c := birthCertificate{-1, map[string]uint64{}, map[string]string{}}
	err := fields([]byte(payload), func(number protowire.Number, _ protowire.Type, value []byte) error {
		switch number {
		case payloadSeq:
			seq, _ := protowire.ConsumeVarint(value)
			c.seq = int(seq)
		case payloadMetrics:
			return c.metric(value)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%q: %v", payload, err)
	}
	return c
}

func (c *birthCertificate) metric(raw []byte) error {
	name := ""
	return fields(raw, func(number protowire.Number, _ protowire.Type, value []byte) error {
		switch number {
		case metricName:
			name = string(value)
		case metricInt, metricLong, metricBool:
			c.metrics[name], _ = protowire.ConsumeVarint(value)
		case metricText:
			c.texts[name] = string(value)
		}
		return nil
	})
}

func TestABrokerThatForbidsSparkplugsCommandsIsToldOf(t *testing.T) {
	heard := hearLines(t)
	broker := startFussy(t, &fussy{forbids: true}) // mosquitto's access list refuses no subscription
	startSparkplug(t, broker.settings())
	heard.until(t, "no host can ask for a rebirth", "topic=spBv1.0/house/NCMD/porch")
}

func TestABrokerThatForbidsCommandsAndHomeAssistantsBirthIsToldOf(t *testing.T) {
	for _, words := range [][]string{
		{"subscribe to its commands", "topic=visavis/porch/+/set/+"}, {"hear when Home Assistant starts", "topic=homeassistant/status"},
	} {
		heard := hearLines(t)
		s := startFussy(t, &fussy{forbids: true}).settings()
		s.Commands, s.Discovery = true, discoverDevice
		p := newPublisher(t, s)
		p.CommandsTo(func(Command) error { return nil })
		run(t, p)
		heard.until(t, words...)
	}
}

func hearLines(t *testing.T) lines {
	t.Helper()
	heard := make(lines, 100)
	logtest.Hear(t, slog.NewTextHandler(heard, nil))
	return heard
}

// until waits for a line with all of these words.
func (l lines) until(t *testing.T, words ...string) {
	t.Helper()
	waiting.Until(t, "it is told of "+words[0], func() bool {
		select {
		case line := <-l:
			return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
		default:
			return false
		}
	})
}

// lines are what is logged, until nobody reads them any more.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

// startSparkplug starts a node that tells no figures of its own: each has a number, and comes in between when a test takes its time.
func startSparkplug(t *testing.T, s Settings) *Sparkplug {
	t.Helper()
	return startSparkplugWith(t, s, time.Hour)
}

func startSparkplugWith(t *testing.T, s Settings, figuresEvery time.Duration) *Sparkplug {
	t.Helper()
	s.SparkplugGroup, s.Version = "house", "1"
	made, err := NewSparkplug(s)
	if err != nil {
		t.Fatal(err)
	}
	made.figuresEvery = figuresEvery
	made.Expect([]Place{{Camera: "door", Zones: []string{"step"}, Lines: []string{"gate"}}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- made.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return made
}

// kinds are the messages so far, each as its kind and its number: NBIRTH0 DBIRTH1.
func kinds(t *testing.T, seen *subscriber) string {
	t.Helper()
	seen.mu.Lock()
	defer seen.mu.Unlock()
	var told []string
	for _, m := range seen.seen {
		if levels := strings.Split(m.topic, "/"); levels[0] == "spBv1.0" && levels[2] != "NCMD" {
			told = append(told, fmt.Sprint(levels[2], readCertificate(t, m.payload).seq))
		}
	}
	return strings.Join(told, " ")
}

func ask(t *testing.T, b *broker, payload []byte, retain bool) {
	t.Helper()
	client := b.visitor(t)
	defer client.Disconnect(disconnectMs)
	acknowledged(t, "publishing", client.Publish(SparkplugCommandTopic("house", "porch"), 1, retain, payload))
}

func TestANodeIsBornLivesAndIsBornAgain(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	seen := b.subscribe()
	s := startSparkplug(t, b.settings())
	waiting.Until(t, "the node's birth", func() bool { return kinds(t, seen) == "NBIRTH0" })
	s.SetCameraStatus("door", true)
	waiting.Until(t, "the camera's birth", func() bool { return kinds(t, seen) == "NBIRTH0 DBIRTH1" })
	s.TakeState(hub.State{Camera: "door", Zone: "step", Confirmed: 2, Occupied: true})
	waiting.Until(t, "news", func() bool { return kinds(t, seen) == "NBIRTH0 DBIRTH1 DDATA2" })
	if news := readCertificate(t, seen.last("spBv1.0/house/DDATA/porch/door")); news.metrics["zone/step/faces"] != 2 || news.metrics["zone/step/occupied"] != 1 {
		t.Errorf("%+v", news)
	}
	for n := range 3 {
		s.TakeEvent(visit(zone.Entered, n, "step"))
	}
	waiting.Until(t, "each event", func() bool { return len(seen.all("spBv1.0/house/DDATA/porch/door")) == 4 })
	for _, detecting := range []bool{true, false} {
		s.TakeDetecting("door", detecting)
		waiting.Until(t, "whether somebody looks", func() bool {
			told, known := readCertificate(t, seen.last("spBv1.0/house/DDATA/porch/door")).metrics["detecting"]
			return known && (told == 1) == detecting
		})
	}
	ask(t, b, encodeSparkplug(time.Now(), nil, metric{nodeRebirth, true}), false)
	waiting.Until(t, "another birth", func() bool { return strings.HasSuffix(kinds(t, seen), " NBIRTH0 DBIRTH1") })
	if born := readCertificate(t, seen.last("spBv1.0/house/DBIRTH/porch/door")); born.metrics["zone/step/entered"] != 3 || born.texts["event"] == "" {
		t.Errorf("%+v", born)
	}
	s.SetCameraStatus("door", false)
	waiting.Until(t, "the camera's death", func() bool { return strings.HasSuffix(kinds(t, seen), " NBIRTH0 DBIRTH1 DDEATH2") })
}

func TestANodeTellsItsFiguresAgainAndAgain(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	seen := b.subscribe()
	startSparkplugWith(t, b.settings(), time.Millisecond)
	waiting.Until(t, "figures with the next numbers", func() bool { return strings.HasPrefix(kinds(t, seen), "NBIRTH0 NDATA1 NDATA2 ") })
}

func TestEachConnectionHasTheNextNumberAndItsWillTheSame(t *testing.T) {
	b := startBroker(t, anybody)
	s := startSparkplug(t, b.settings())
	var first *subscriber
	for number := range 2 {
		b.start()
		first = b.subscribe()
		waiting.Until(t, "connected", s.Connected)
		ask(t, b, encodeSparkplug(time.Now(), nil, metric{nodeRebirth, true}), false) // the first birth may have been before the subscriber
		waiting.Until(t, "a birth", func() bool { return first.last("spBv1.0/house/NBIRTH/porch") != "" })
		if born := readCertificate(t, first.last("spBv1.0/house/NBIRTH/porch")); born.metrics[bdSeq] != uint64(number) || born.seq != 0 {
			t.Errorf("%+v, want the number %d", born, number)
		}
		if number == 0 {
			b.kill()
			waiting.Until(t, "the loss is noticed", func() bool { return !s.Connected() })
		}
	}
	thief, err := s.connect(context.Background(), will{topic: "x", payload: []byte("x")}, make(chan error, 1)) // the same name: it is thrown out
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Disconnect(0)
	waiting.Until(t, "the will", func() bool { return first.last("spBv1.0/house/NDEATH/porch") != "" })
	if death := readCertificate(t, first.all("spBv1.0/house/NDEATH/porch")[0]); death.metrics[bdSeq] != 1 || death.seq != -1 {
		t.Errorf("%+v", death)
	}
}

func TestNumbersBeginAnewAfter255AndACameraThatIsGoneDies(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	seen := b.subscribe()
	s := startSparkplug(t, b.settings())
	waiting.Until(t, "connected", s.Connected)
	s.SetCameraStatus("door", true)
	waiting.Until(t, "the camera's birth", func() bool { return seen.last("spBv1.0/house/DBIRTH/porch/door") != "" })
	for n := range 300 {
		s.TakeEvent(visit(zone.Appeared, n, ""))
		waiting.Until(t, "it was told", func() bool { return len(seen.all("spBv1.0/house/DDATA/porch/door")) == n+1 })
	}
	told := strings.Fields(kinds(t, seen))
	at := slices.Index(told, "DDATA255")
	if at < 0 || told[at+1] != "DDATA0" {
		t.Errorf("%v", told)
	}
	s.Expect(nil)
	waiting.Until(t, "its death", func() bool { return len(seen.all("spBv1.0/house/DDEATH/porch/door")) == 1 })
}

// FuzzRebirth holds that no command does anything but ask for a birth.
func FuzzRebirth(f *testing.F) {
	f.Add(encodeSparkplug(began, nil, metric{nodeRebirth, true}))
	f.Add([]byte{0x12, 0x7f})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if asked, err := asksForRebirth(raw); asked && (err != nil || !strings.Contains(string(raw), nodeRebirth)) {
			t.Errorf("%x: %v", raw, err)
		}
	})
}

func TestACameraThatChangesAndStaysAwayDies(t *testing.T) {
	s, err := NewSparkplug(Settings{URL: "mqtt://127.0.0.1:1", Device: "porch", SparkplugGroup: "plant"})
	if err != nil {
		t.Fatal(err)
	}
	said := func() (kinds []sparkplugKind) {
		for {
			kind, _, _ := s.next()
			if kind == noKind {
				return kinds
			}
			kinds = append(kinds, kind)
		}
	}
	s.Expect([]Place{{Camera: "door"}})
	s.SetCameraStatus("door", true)
	said()
	s.Expect([]Place{{Camera: "door", Zones: []string{"step"}}}) // a reload, which then stops the camera
	s.SetCameraStatus("door", false)
	if kinds := said(); !slices.Equal(kinds, []sparkplugKind{cameraDeath}) {
		t.Errorf("away: %v", kinds)
	}
	s.SetCameraStatus("door", true)
	s.Expect([]Place{{Camera: "door"}})
	if kinds := said(); !slices.Equal(kinds, []sparkplugKind{cameraBirth}) {
		t.Errorf("back, and changed again: %v", kinds)
	}
}

// A historian would keep 0 °C for ever.
func TestATemperatureThatNobodyKnowsIsNull(t *testing.T) {
	made, err := NewSparkplug(Settings{URL: "mqtt://broker", Device: "porch"})
	if err != nil {
		t.Fatal(err)
	}
	told := func() (value any, null bool) {
		for _, m := range made.figures() {
			if m.name != "temperature_c" {
				continue
			}
			err := fields(m.encode(0), func(number protowire.Number, _ protowire.Type, raw []byte) error {
				switch number {
				case 7: // is_null
					null = true
				case metricDouble:
					bits, _ := protowire.ConsumeFixed64(raw)
					value = math.Float64frombits(bits)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return value, null
	}
	if value, null := told(); value != nil || !null {
		t.Errorf("without a sensor: %v, null %v", value, null)
	}
	hot := 61.5
	made.StatsFrom(func() Stats { return Stats{TemperatureC: &hot} })
	if value, null := told(); value != hot || null {
		t.Errorf("at %v: %v, null %v", hot, value, null)
	}
}

func TestThePageNamesTheMetricsOfACamera(t *testing.T) {
	page, err := os.ReadFile("../../../docs/how-to/broker.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `DBIRTH` \\|[^|]*\\|([^|]*)\\|$").FindSubmatch(page)
	if row == nil {
		t.Fatal("no row of DBIRTH")
	}
	named := map[string]bool{}
	for part := range strings.SplitSeq(string(row[1]), ";") {
		above := "" // that of the first name holds for all of a part
		for _, word := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(part, -1) {
			if at := strings.LastIndex(word[1], "/"); at >= 0 {
				above, word[1] = word[1][:at+1], word[1][at+1:]
			}
			named[above+word[1]] = true
		}
	}
	born := newSparkplugCamera(Place{Camera: "door", Zones: []string{"<z>"}, Lines: []string{"<l>"}}).order
	if got := slices.Sorted(maps.Keys(named)); !slices.Equal(got, slices.Sorted(slices.Values(born))) {
		t.Errorf("the page names %q, born with %q", got, born)
	}
}

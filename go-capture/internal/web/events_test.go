// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/event"
	"visavis/capture/internal/history"
	"visavis/capture/internal/waiting"
	"visavis/capture/internal/zone"
)

// diary is a history that the test writes, beside a site that serves it.
type diary struct {
	*running
	history *history.History
	ids     *event.IDs
	now     time.Time
	place   string // that the last stream told at its beginning
}

// anHourAgo is when diaries begin: no event in them is too old.
func anHourAgo() time.Time { return time.Now().UTC().Truncate(time.Second).Add(-time.Hour) }

func keep(t *testing.T) *diary {
	t.Helper()
	d := &diary{ids: event.NewIDs(), now: anHourAgo(), history: history.New(history.Settings{Folder: t.TempDir()})}
	d.history.Start()
	d.running = serveHistory(t, d.history)
	t.Cleanup(func() {
		if err := d.history.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

// tell appends an event a minute later than the last one, and returns it as JSON.
func (d *diary) tell(t *testing.T, kind zone.Kind, camera string) (id, written string) {
	t.Helper()
	d.now = d.now.Add(time.Minute)
	e := event.Event{Schema: 1, Type: kind, ID: d.ids.Next(d.now), Camera: camera, Track: 1, StartedAt: event.Time{Time: d.now}}
	d.history.Append(e)
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return e.ID, string(text)
}

type page struct {
	Events []json.RawMessage
	Next   string
	More   bool
}

func (d *diary) page(t *testing.T, path string) (p page, header http.Header) {
	t.Helper()
	answer := get(t, d.url+path)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, answer.Status)
	}
	if err := json.NewDecoder(answer.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p, answer.Header
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func (p page) String() string {
	var all []string
	for _, e := range p.Events {
		all = append(all, string(e))
	}
	return strings.Join(all, "\n")
}

func TestEventsArePagedByLinksAndStayAsTheyWereWritten(t *testing.T) {
	d := keep(t)
	var told []string
	for range 5 {
		_, written := d.tell(t, zone.Appeared, "door")
		told = append(told, written)
	}
	newest, _ := d.page(t, "/api/v1/events?limit=2")
	if newest.String() != strings.Join(told[3:], "\n") || newest.More {
		t.Errorf("the newest two are %v", newest)
	}
	var read []string
	for next, more := "/api/v1/events?since=0&limit=2", true; more; {
		p, header := d.page(t, next)
		read = append(read, p.String())
		next, more = p.Next, p.More
		if link := header.Get("Link"); more != (link == fmt.Sprintf(`<%s>; rel="next"`, p.Next)) {
			t.Errorf("more is %v, and Link is %q", more, link)
		}
	}
	if got := strings.Join(read, "\n"); got != strings.Join(told, "\n") {
		t.Errorf("read\n%s\nwant\n%s", got, strings.Join(told, "\n"))
	}
}

func TestEventsSinceATimeAfterAClockWasAhead(t *testing.T) {
	d := keep(t)
	d.ids.Next(d.now.AddDate(40, 0, 0))
	d.tell(t, zone.Appeared, "gate")
	_, newest := d.tell(t, zone.Appeared, "door")
	if p, _ := d.page(t, "/api/v1/events?since="+time.Now().UTC().Add(time.Hour).Format(time.RFC3339)); p.String() != "" {
		t.Errorf("of the future %v", p)
	}
	p, _ := d.page(t, "/api/v1/events?since="+d.now.Format(time.RFC3339))
	if p.String() != newest {
		t.Errorf("%v, want %v", p, newest)
	}
	_, next := d.tell(t, zone.Gone, "door")
	if p, _ = d.page(t, p.Next); p.String() != next {
		t.Errorf("then %v, want %v", p, next)
	}
}

func TestEventsSinceATimeOrAnIdOfACameraAndAType(t *testing.T) {
	d := keep(t)
	d.tell(t, zone.Appeared, "door")
	first, _ := d.tell(t, zone.Appeared, "gate")
	_, gone := d.tell(t, zone.Gone, "door")
	_, last := d.tell(t, zone.Gone, "gate")
	for query, want := range map[string]string{
		"since=" + d.now.Add(-time.Minute).Format(time.RFC3339):                              gone + "\n" + last, // made at that time or later
		"since=" + d.now.Add(-time.Minute).In(time.FixedZone("", 3600)).Format(time.RFC3339): gone + "\n" + last, // as people write it, "+" and all
		"since=" + first:                       gone + "\n" + last,
		"since=0&type=gone":                    gone + "\n" + last,
		"since=1969-12-31T00:00:00Z&type=gone": gone + "\n" + last,
		"camera=gate&type=gone":                last,
		"camera=gate&limit=1":                  last,
		"camera=gate&type=gone&since=&limit=":  last, // as a form sends what nobody filled in
		"camera=&type=&since=" + first:         gone + "\n" + last,
		"since=2200-01-01T00:00:00Z":           "",
		"camera=attic":                         "",
	} {
		if p, _ := d.page(t, "/api/v1/events?"+query); p.String() != want || p.More {
			t.Errorf("%s: %v, want %s", query, p, want)
		}
	}
}

func TestThePageAfterAnEmptyOneHasWhatCameMeanwhile(t *testing.T) {
	d := keep(t)
	empty, _ := d.page(t, "/api/v1/events?camera=door")
	_, told := d.tell(t, zone.Appeared, "door")
	if p, _ := d.page(t, empty.Next); p.String() != told {
		t.Errorf("%s: %v, want %s", empty.Next, p, told)
	}
	later, _ := d.page(t, "/api/v1/events?since=2200-01-01T00:00:00Z")
	if p, _ := d.page(t, later.Next); len(p.Events) != 0 {
		t.Errorf("%s: %v, want nothing before 2200", later.Next, p)
	}
}

// A program that asks for a quiet camera each minute would have the whole history read each time.
func TestTheNextPageGoesOnBehindWhatDidNotFit(t *testing.T) {
	d := keep(t)
	id, _ := d.tell(t, zone.Appeared, "door")
	for _, path := range []string{"/api/v1/events?since=0&camera=yard", "/api/v1/events?camera=yard"} {
		if p, _ := d.page(t, path); len(p.Events) != 0 || !strings.Contains(p.Next, "since="+id) {
			t.Errorf("%s: %d events, then %s, want since=%s", path, len(p.Events), p.Next, id)
		}
	}
}

func TestABadQueryOfEventsIsExplained(t *testing.T) {
	d := keep(t)
	for _, query := range []string{"since=yesterday", "since=01JDG3ZQ3N8XKZ5T0V4W2Y6R1", "since=1764547200",
		"since=9999999-01-01T00:00:00Z", "limit=0", "limit=1001", "limit=many", "camera=A%20door", "type=vanished"} {
		answer := get(t, d.url+"/api/v1/events?"+query)
		text, err := io.ReadAll(answer.Body)
		if name, _, _ := strings.Cut(query, "="); err != nil || answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), name+"=") {
			t.Errorf("%s: %s %s %v", query, answer.Status, text, err)
		}
	}
}

// follow opens a stream of events and returns its lines.
func (d *diary) follow(t *testing.T, path, lastID string) *bufio.Scanner {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); answer.Body.Close() })
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("%s %q", answer.Status, got)
	}
	lines := bufio.NewScanner(answer.Body)
	expect(t, lines, "retry: 2000")
	if !lines.Scan() || !regexp.MustCompile("^id: (0|0[0-9A-Z]{9}([0-9A-Z]{16})?)$").MatchString(lines.Text()) {
		t.Fatalf("%q (%v) is no place", lines.Text(), lines.Err())
	}
	d.place = strings.TrimPrefix(lines.Text(), "id: ")
	expect(t, lines, "")
	return lines
}

func expect(t *testing.T, lines *bufio.Scanner, want ...string) {
	t.Helper()
	for _, one := range want {
		if !lines.Scan() || lines.Text() != one {
			t.Fatalf("%q (%v), want %q", lines.Text(), lines.Err(), one)
		}
	}
}

func TestAStreamTellsWhatHappensFromNowOn(t *testing.T) {
	d := keep(t)
	d.tell(t, zone.Appeared, "door")
	lines := d.follow(t, "/api/v1/events?camera=door", "")
	d.tell(t, zone.Appeared, "gate")
	for range 3 {
		id, told := d.tell(t, zone.Gone, "door")
		expect(t, lines, "id: "+id, "data: "+told, "")
	}
}

func TestAStreamGoesOnWhereTheBrowserWasBefore(t *testing.T) {
	d := keep(t)
	first, _ := d.tell(t, zone.Appeared, "door")
	var want []string
	for range 250 { // more than one reading
		id, told := d.tell(t, zone.Gone, "door")
		want = append(want, "id: "+id, "data: "+told, "")
	}
	expect(t, d.follow(t, "/api/v1/events", first), want...)
	expect(t, d.follow(t, "/api/v1/events?since=0", first), want...) // the address of a page that comes back is the old one
	expect(t, d.follow(t, "/api/v1/events?since="+first, "no id"), want...)
}

func TestAStreamOfAHistoryThatWasLostGoesOnFromNow(t *testing.T) {
	d := keep(t)
	d.tell(t, zone.Appeared, "door")
	const later = "0ZZZZZZZZZZZZZZZZZZZZZZZZZ"
	lines := d.follow(t, "/api/v1/events", later)
	id, told := d.tell(t, zone.Gone, "door")
	expect(t, lines, "id: "+id, "data: "+told, "")
}

func TestAStreamThatIsCutOffBeforeItsFirstEventGoesOnFromThere(t *testing.T) {
	d := keep(t)
	for range 2 { // at the first event ever, and later
		d.follow(t, "/api/v1/events", "")
		id, told := d.tell(t, zone.Appeared, "door")
		expect(t, d.follow(t, "/api/v1/events", d.place), "id: "+id, "data: "+told, "")
	}
}

func TestThePageBehindAHistoryThatWasLostHasWhatComes(t *testing.T) {
	d := keep(t)
	d.tell(t, zone.Appeared, "door")
	empty, _ := d.page(t, "/api/v1/events?since=0ZZZZZZZZZZZZZZZZZZZZZZZZZ")
	_, told := d.tell(t, zone.Gone, "door")
	if p, _ := d.page(t, empty.Next); p.String() != told {
		t.Errorf("%s: %v, want %s", empty.Next, p, told)
	}
}

func TestAStreamStartsAtTheFirstEventEver(t *testing.T) {
	d := keep(t)
	lines := d.follow(t, "/api/v1/events", "")
	id, told := d.tell(t, zone.Appeared, "door")
	expect(t, lines, "id: "+id, "data: "+told, "")
}

func TestAReaderThatTakesNothingIsClosedAndCostsNoMemory(t *testing.T) {
	const events, heapMost = 20_000, 4 << 20
	d := keep(t)
	address := strings.TrimPrefix(d.url, "http://")
	deaf, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	before := heapBytes()
	if _, err := fmt.Fprintf(deaf, "GET /api/v1/events?since=0 HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", address); err != nil {
		t.Fatal(err)
	}
	waiting.Until(t, "it is there", func() bool { return d.server.viewers.Taken() == 1 })
	for range events { // 8 MB, far more than sockets hold
		d.tell(t, zone.Appeared, "door")
	}
	waiting.Until(t, "it is closed", func() bool { return d.server.viewers.Taken() == 0 })
	if more := int64(heapBytes()) - int64(before); more > heapMost {
		t.Errorf("%d bytes more in memory", more)
	}
}

func TestTheServerEndsWhileStreamsAreOpen(t *testing.T) {
	d := keep(t)
	for range 5 {
		d.follow(t, "/api/v1/events", "")
	}
	waiting.Until(t, "all are there", func() bool { return d.server.viewers.Taken() == 5 })
}

func TestThePlaceOfAStreamTellsNothingOfTheCamerasThatSomebodyMayNotSee(t *testing.T) {
	l := serveLocked(t)
	d := &diary{ids: event.NewIDs(), now: anHourAgo(), history: history.New(history.Settings{})}
	l.running = serveSettings(t, Settings{Listen: "127.0.0.1:0", WriteTimeout: time.Minute, Auth: l.gate, Events: d.history}, twoCameras{})
	inYard, _ := d.tell(t, zone.Appeared, "yard")
	request, err := http.NewRequestWithContext(t.Context(), "GET", l.url+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = bearer(l.add(t, "neighbour", "viewer", "", "door"))
	request.Header.Set("Accept", "text/event-stream")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	expect(t, lines, "retry: 2000")
	if lines.Scan(); len(lines.Text()) != len("id: ")+10 || lines.Text() < "id: "+inYard {
		t.Errorf("%q is no time of now", lines.Text())
	}
}

func TestEventsAreThoseOfTheCamerasThatSomebodyMaySee(t *testing.T) {
	l := serveLocked(t)
	d := &diary{ids: event.NewIDs(), now: anHourAgo(), history: history.New(history.Settings{})}
	l.running = serveSettings(t, Settings{Listen: "127.0.0.1:0", WriteTimeout: time.Minute, Auth: l.gate, Events: d.history}, twoCameras{})
	d.running = l.running
	_, atDoor := d.tell(t, zone.Appeared, "door")
	_, inYard := d.tell(t, zone.Appeared, "yard")
	_, doorAgain := d.tell(t, zone.Gone, "door")
	for token, want := range map[string][]string{
		l.add(t, "owner", "viewer", "", "*"): {atDoor, inYard, doorAgain}, l.add(t, "neighbour", "viewer", "", "door"): {atDoor, doorAgain},
		l.add(t, "gardener", "viewer", "", "yard", "shed"): {inYard}, l.add(t, "sender", "operator", ""): {},
	} {
		for _, query := range []string{"", "?since=0", "?since=0&type=appeared", "?camera=yard"} {
			code, body := l.ask(t, "GET", "/api/v1/events"+query, bearer(token))
			for _, written := range []string{atDoor, inYard, doorAgain} {
				asked := !strings.Contains(query, "type") || written != doorAgain
				asked = asked && (!strings.Contains(query, "camera") || written == inYard)
				if shown := strings.Contains(body, written); code != 200 || shown != (asked && slices.Contains(want, written)) {
					t.Errorf("%s, who may see %v: %d %s", query, want, code, body)
				}
			}
		}
	}
}

func TestTheNextPageTellsNothingOfCamerasThatSomebodyMayNotSee(t *testing.T) {
	l := serveLocked(t)
	d := &diary{ids: event.NewIDs(), now: anHourAgo(), history: history.New(history.Settings{})}
	l.running = serveSettings(t, Settings{Listen: "127.0.0.1:0", WriteTimeout: time.Minute, Auth: l.gate, Events: d.history}, twoCameras{})
	neighbour := bearer(l.add(t, "neighbour", "viewer", "", "door"))
	read := func(path string) (p page) {
		code, body := l.ask(t, "GET", path, neighbour)
		if err := json.Unmarshal([]byte(body), &p); err != nil || code != 200 {
			t.Fatalf("%s: %d %s", path, code, body)
		}
		return p
	}
	d.tell(t, zone.Appeared, "yard")
	next, given := "/api/v1/events?limit=1", "since=0"
	var told, seen []string
	for round := range 4 {
		if round == 2 {
			for range 2 {
				id, written := d.tell(t, zone.Appeared, "door")
				told, given = append(told, written), "since="+id
			}
		}
		d.tell(t, zone.Appeared, "yard")
		for more := true; more; {
			p := read(next)
			next, more = p.Next, p.More
			if len(p.Events) > 0 {
				seen = append(seen, p.String())
			}
		}
		if !strings.HasSuffix(next, given) {
			t.Errorf("the next page is %s, want %s", next, given)
		}
	}
	if !slices.Equal(seen, told) {
		t.Errorf("it read\n%v, want\n%v", seen, told)
	}
}

func TestAStreamTellsOnlyOfOnesOwnCameras(t *testing.T) {
	l := serveLocked(t)
	d := &diary{ids: event.NewIDs(), now: anHourAgo(), history: history.New(history.Settings{})}
	l.running = serveSettings(t, Settings{Listen: "127.0.0.1:0", WriteTimeout: time.Minute, Auth: l.gate, Events: d.history}, twoCameras{})
	request, err := http.NewRequest("GET", l.url+"/api/v1/events?since=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = bearer(l.add(t, "neighbour", "viewer", "", "door"))
	request.Header.Set("Accept", eventStreamType)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	d.tell(t, zone.Appeared, "yard")
	_, atDoor := d.tell(t, zone.Appeared, "door")
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if told, isData := strings.CutPrefix(lines.Text(), "data: "); isData {
			if told != atDoor {
				t.Errorf("the first event that is told is %s", told)
			}
			return
		}
	}
	t.Error("the stream ends without an event")
}

func TestEventsAreDescribed(t *testing.T) {
	d := keep(t)
	var document struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name string }
		}
	}
	if err := json.NewDecoder(get(t, d.url+"/openapi.json").Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range document.Paths["/api/v1/events"]["get"].Parameters {
		names = append(names, p.Name)
	}
	if got := fmt.Sprint(names); got != "[limit since camera type Last-Event-ID]" {
		t.Errorf("parameters %s", got)
	}
}

// overlooked is a history that notes from where it is read.
type overlooked struct {
	*history.History
	after chan string
}

func (o overlooked) Read(ctx context.Context, q history.Query) (history.Page, error) {
	page, err := o.History.Read(ctx, q)
	o.after <- q.After
	return page, err
}

func TestAStreamReadsWhatItHasLookedAtOnlyOnce(t *testing.T) {
	d := &diary{ids: event.NewIDs(), now: anHourAgo(), history: history.New(history.Settings{})}
	events := overlooked{d.history, make(chan string, 10)}
	d.running = serveHistory(t, events)
	d.follow(t, "/api/v1/events?camera=attic", "")
	before := <-events.after
	for range 3 {
		id, _ := d.tell(t, zone.Appeared, "door")
		if after := <-events.after; after != before {
			t.Errorf("it reads from %s, though it has looked up to %s", after, before)
		}
		before = id
	}
}

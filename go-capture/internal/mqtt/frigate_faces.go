// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"visavis/capture/internal/event"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/zone"
)

const (
	frigateUpdateEvery = 5 * time.Second // as Frigate does, for what is not a change of zones
	frigateBetter      = 0.01            // in score: a better picture
	idEnding           = 6               // characters behind the time in Frigate's ids
)

// frigateMessage is what goes to `events`.
type frigateMessage struct {
	Type   string        `json:"type"` // new, update, end
	Before frigateObject `json:"before"`
	After  frigateObject `json:"after"`
}

// frigateObject is a face as Frigate tells of what it tracks. Times are seconds since 1970, boxes [x1, y1, x2, y2] in pixels.
type frigateObject struct {
	ID                 string             `json:"id"`
	Camera             string             `json:"camera"`
	FrameTime          float64            `json:"frame_time"`
	Snapshot           frigateSnapshot    `json:"snapshot"`
	Label              string             `json:"label"`
	SubLabel           *string            `json:"sub_label"` // always null: nobody is recognised
	TopScore           float64            `json:"top_score"`
	FalsePositive      bool               `json:"false_positive"`
	StartTime          float64            `json:"start_time"`
	EndTime            *float64           `json:"end_time"`
	Score              float64            `json:"score"`
	Box                [4]int             `json:"box"`
	Area               int                `json:"area"`
	Ratio              float64            `json:"ratio"`
	Region             [4]int             `json:"region"` // what was looked at: the whole picture
	CurrentZones       []string           `json:"current_zones"`
	EnteredZones       []string           `json:"entered_zones"`
	Thumbnail          *string            `json:"thumbnail"`
	HasSnapshot        bool               `json:"has_snapshot"`
	HasClip            bool               `json:"has_clip"`
	Active             bool               `json:"active"`
	Stationary         bool               `json:"stationary"`
	MotionlessCount    int                `json:"motionless_count"`
	PositionChanges    int                `json:"position_changes"`
	Attributes         map[string]float64 `json:"attributes"`
	CurrentAttributes  []struct{}         `json:"current_attributes"`
	CurrentSpeed       float64            `json:"current_estimated_speed"`
	AverageSpeed       float64            `json:"average_estimated_speed"`
	VelocityAngle      float64            `json:"velocity_angle"`
	LicensePlate       *string            `json:"recognized_license_plate"`
	LicensePlateChance *float64           `json:"recognized_license_plate_score"`
}

// frigateSnapshot is the surest look so far.
type frigateSnapshot struct {
	FrameTime  float64    `json:"frame_time"`
	Box        [4]int     `json:"box"`
	Area       int        `json:"area"`
	Region     [4]int     `json:"region"`
	Score      float64    `json:"score"`
	Attributes []struct{} `json:"attributes"`
}

// frigateFaces are the visits that go on.
type frigateFaces struct {
	visits map[string]*frigateVisit // by the event's visit
	tracks map[trackOf]*frigateVisit
	sizes  map[string][4]int // of each camera's picture
}

type trackOf struct {
	camera string
	track  uint64
}

type frigateVisit struct {
	told, now frigateObject
	better    bool // since it was told
	toldNs    int64
	track     trackOf
}

func newFrigateFaces() *frigateFaces {
	return &frigateFaces{visits: map[string]*frigateVisit{}, tracks: map[trackOf]*frigateVisit{}, sizes: map[string][4]int{}}
}

// see follows the boxes, and tells of better looks from time to time.
func (f *frigateFaces) see(r *hub.Result) (messages []frigateMessage) {
	f.sizes[r.Camera] = [4]int{0, 0, r.Width, r.Height}
	for _, face := range r.Faces {
		v, known := f.tracks[trackOf{r.Camera, face.Track}]
		if !known {
			continue
		}
		v.look(face.Box, round4(float64(face.Score)), unix(r.CapturedAt), f.sizes[r.Camera])
		if v.toldNs == 0 {
			v.toldNs = r.CapturedNs
		}
		if v.better && time.Duration(r.CapturedNs-v.toldNs) >= frigateUpdateEvery {
			v.toldNs = r.CapturedNs
			messages = append(messages, v.tell("update"))
		}
	}
	return messages
}

// hear tells of what happened; lines are nothing that Frigate knows.
func (f *frigateFaces) hear(e event.Event, pictures bool) []frigateMessage {
	if e.Type == zone.Crossed {
		return nil
	}
	v, known := f.visits[e.Visit]
	if !known {
		v = f.begin(e, pictures)
	}
	kind := "update"
	switch e.Type {
	case zone.Appeared:
		kind, v.told = "new", v.now
	case zone.Entered:
		v.enter(e.Zone)
	case zone.Left:
		v.leave(e.Zone)
	case zone.Gone:
		kind = "end"
		v.end(e)
		delete(f.visits, e.Visit)
		delete(f.tracks, v.track)
	}
	return []frigateMessage{v.tell(kind)}
}

// begin makes the object of a visit: at its first event, or at the first after a restart, which may only know when it was first told of.
func (f *frigateFaces) begin(e event.Event, pictures bool) *frigateVisit {
	began := e.StartedAt.Time
	if e.Type != zone.Appeared && e.Type != zone.Gone {
		began = visitTime(e)
	}
	region := f.sizes[e.Camera]
	v := &frigateVisit{track: trackOf{e.Camera, e.Track}, now: frigateObject{
		ID: frigateID(e), Camera: e.Camera, Label: frigateFace, StartTime: unix(began), Region: region, CurrentZones: []string{},
		EnteredZones: []string{}, HasSnapshot: pictures, Active: true, Attributes: map[string]float64{}, CurrentAttributes: []struct{}{},
	}}
	v.now.Snapshot.Attributes = []struct{}{}
	best := e.Best.Box
	v.look(geometry.Box{X: float32(best[0]), Y: float32(best[1]), W: float32(best[2]), H: float32(best[3])}, e.Best.Score, unix(began), region)
	v.told = v.now
	f.visits[e.Visit], f.tracks[v.track] = v, v
	return v
}

func (v *frigateVisit) look(box geometry.Box, score, at float64, region [4]int) {
	now := &v.now
	now.Box, now.Score, now.FrameTime, now.Region = corners(box), score, at, region
	width, height := now.Box[2]-now.Box[0], now.Box[3]-now.Box[1]
	now.Area, now.Ratio = width*height, math.Round(100*float64(width)/float64(max(height, 1)))/100
	if score < now.Snapshot.Score+frigateBetter && now.Snapshot.FrameTime != 0 {
		return
	}
	v.better = true
	now.Snapshot = frigateSnapshot{at, now.Box, now.Area, region, score, now.Snapshot.Attributes}
	now.TopScore = max(now.TopScore, score)
}

func (v *frigateVisit) enter(zone string) {
	v.now.CurrentZones = append(slices.Clone(v.now.CurrentZones), zone)
	v.wasIn(zone)
}

// leave is heard of a zone that nobody was heard to enter where a kill cut off the visit.
func (v *frigateVisit) leave(zone string) {
	v.now.CurrentZones = slices.DeleteFunc(slices.Clone(v.now.CurrentZones), func(z string) bool { return z == zone })
	v.wasIn(zone)
}

func (v *frigateVisit) wasIn(zone string) {
	if !slices.Contains(v.now.EnteredZones, zone) {
		v.now.EnteredZones = append(slices.Clone(v.now.EnteredZones), zone)
	}
}

func (v *frigateVisit) end(e event.Event) {
	v.now.CurrentZones, v.now.Active, v.now.StartTime = []string{}, false, unix(e.StartedAt.Time)
	if e.EndedAt != nil {
		ended := unix(e.EndedAt.Time)
		v.now.EndTime = &ended
	}
}

func (v *frigateVisit) tell(kind string) frigateMessage {
	m := frigateMessage{kind, v.told, v.now}
	v.told, v.better = v.now, false
	return m
}

// frigateID is <seconds>.<microseconds>-<six characters>, the same for all messages of a visit and after a restart.
func frigateID(e event.Event) string {
	at := visitTime(e)
	return fmt.Sprintf("%d.%06d-%s", at.Unix(), at.Nanosecond()/1000, strings.ToLower(e.Visit[max(len(e.Visit)-idEnding, 0):]))
}

// visitTime is when a visit was first told of, from its id.
func visitTime(e event.Event) time.Time {
	id, err := ulid.ParseStrict(e.Visit)
	if err != nil { // never: we make them
		return e.StartedAt.Time
	}
	return ulid.Time(id.Time())
}

func corners(b geometry.Box) [4]int {
	return [4]int{int(max(b.X, 0)), int(max(b.Y, 0)), int(math.Ceil(float64(b.X + b.W))), int(math.Ceil(float64(b.Y + b.H)))}
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func round4(x float64) float64 { return math.Round(1e4*x) / 1e4 }

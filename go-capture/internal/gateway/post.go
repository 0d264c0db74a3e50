// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/openinference"
)

const answerTimeout = 10 * time.Second // that a client may take for its answer

// ServeDetect answers POST /api/v1/detect.
func (g *Gateway) ServeDetect(w http.ResponseWriter, r *http.Request) {
	g.serve(w, r, g.answerPost)
}

// serve answers one picture, and counts it.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, answer func(http.ResponseWriter, *http.Request) (reply, error)) {
	g.tally.begin()
	if !g.door.enter() {
		g.tally.end(reasonStopping)
		g.turnAway(w, r)
		return
	}
	defer g.door.leave()
	sent, err := answer(w, r)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // a connection without deadlines is none that can be slow
	if err != nil {
		g.tally.refused(err).problem().Write(w, r)
		return
	}
	g.tally.end(outcomeAnswered)
	w.Header().Set("Content-Type", sent.contentType)
	if sent.jsonBytes > 0 {
		w.Header().Set(openinference.HeaderLength, strconv.Itoa(sent.jsonBytes))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(sent.body)))
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(sent.body) // the client has gone: nobody is left to tell
}

// reply is a whole answer.
type reply struct {
	contentType string
	body        []byte
	jsonBytes   int // of the body, when tensors stand behind them
}

func (g *Gateway) answerPost(w http.ResponseWriter, r *http.Request) (reply, error) {
	wanted, err := readWishes(r)
	if err != nil {
		return reply{}, err
	}
	client := g.senderOf(r)
	way, err := g.laneOf(wanted.full)
	if err != nil {
		return reply{}, err
	}
	if err := g.letIn(client, way); err != nil {
		return reply{}, err
	}
	sent, err := g.readBody(w, r, client)
	if err != nil {
		return reply{}, err
	}
	defer sent.release()
	if err := g.checkScore(sent.score); err != nil {
		return reply{}, err
	}
	picture, header, err := Inspect(sent.bytes, sent.contentType, g.settings.Limits)
	if err != nil {
		return reply{}, err
	}
	asked := request{lane: way, client: client, body: picture, header: header, arrivedNs: frame.MonotonicNs(), draw: wanted.picture}
	done, err := g.detect(r.Context(), asked)
	if err != nil {
		return reply{}, err
	}
	defer done.release()
	return g.reply(asked, done, wanted, sent.score)
}

// reply writes what the client wanted: the faces, or the picture.
func (g *Gateway) reply(asked request, done found, wanted wishes, score float64) (reply, error) {
	faces := hub.AtLeast(score, done.faces)
	if !wanted.picture {
		body, err := json.Marshal(g.answerOf(asked, done, faces))
		return reply{contentType: jsonType, body: append(body, '\n')}, err
	}
	if wanted.anonymize {
		faces = done.hides
	}
	drawn := scaled(faces, done.reduce, asked.header.Beyond(done.reduce))
	body, err := g.settings.Tools.Encode(done.picture, drawn, wanted.anonymize)
	return reply{contentType: jpegType, body: body}, err
}

// letIn refuses before the body is read what has no chance: a refusal must be quick.
func (g *Gateway) letIn(client sender, way *lane) error {
	if err := g.admit(client); err != nil {
		return err
	}
	if !g.ready(way) {
		return noWorker()
	}
	if !way.queue.open(client) {
		return busy(way.backlog())
	}
	return nil
}

// checkScore refuses a least score of faces that the workers do not send.
func (g *Gateway) checkScore(score float64) error {
	if score > 0 && score < g.settings.Score {
		return badRequest("score is %v, and the device finds faces from detector.score = %v on: ask for that or more.", score, g.settings.Score)
	}
	return nil
}

func (g *Gateway) laneOf(full bool) (*lane, error) {
	if full {
		return g.fullLane()
	}
	return g.input, nil
}

// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/openinference"
	"visavis/capture/internal/payload"
)

const tensorsType = "application/octet-stream" // behind JSON

// PixelsType is the Type of a Header whose body is rows of red, green, blue.
const PixelsType = "pixels"

// ServeInfer answers POST /v2/models/{model}/infer.
func (g *Gateway) ServeInfer(w http.ResponseWriter, r *http.Request) {
	g.serve(w, r, g.answerInfer)
}

func (g *Gateway) answerInfer(w http.ResponseWriter, r *http.Request) (reply, error) {
	if err := g.KnowsModel(r.PathValue("model"), r.PathValue("version")); err != nil {
		return reply{}, err
	}
	client := g.senderOf(r)
	if err := g.letIn(client, g.input); err != nil {
		return reply{}, err
	}
	header, err := headerLength(r)
	if err != nil {
		return reply{}, err
	}
	sent, err := g.readInference(w, r, header)
	if err != nil {
		return reply{}, err
	}
	defer sent.release()
	asked, err := openinference.Parse(sent.bytes, header)
	if err != nil {
		return reply{}, refusedInference(err)
	}
	faces, err := g.infer(r.Context(), client, asked)
	if err != nil {
		return reply{}, err
	}
	answer, jsonBytes, err := asked.Answer(r.PathValue("model"), faces)
	if jsonBytes < 0 {
		return reply{contentType: jsonType, body: answer}, err
	}
	return reply{contentType: tensorsType, body: answer, jsonBytes: jsonBytes}, err
}

// KnowsModel refuses what is not the device's model.
func (g *Gateway) KnowsModel(name, version string) error {
	if name == g.settings.Model && openinference.Serves(version) {
		return nil
	}
	return noSuchModel(name, version, g.settings.Model)
}

// infer sees the picture of a request through.
func (g *Gateway) infer(ctx context.Context, client sender, asked openinference.Request) ([]openinference.Face, error) {
	if err := g.checkScore(asked.Options.Score); err != nil {
		return nil, err
	}
	way, err := g.laneOf(asked.Options.Full)
	if err != nil {
		return nil, err
	}
	picture, header, err := inspectInput(asked, g.settings.Limits)
	if err != nil {
		return nil, err
	}
	done, err := g.detect(ctx, request{lane: way, client: client, body: picture, header: header, arrivedNs: frame.MonotonicNs(), timeout: asked.Options.Timeout})
	if err != nil {
		return nil, err
	}
	defer done.release()
	return facesFor(hub.AtLeast(asked.Options.Score, done.faces)), nil
}

// inspectInput is Inspect for either kind of input.
func inspectInput(asked openinference.Request, limits Limits) ([]byte, Header, error) {
	if asked.Pixels == nil {
		contentType := typeOf(asked.Encoded)
		if contentType == "" {
			return nil, Header{}, notAPicture("The input image is no JPEG, PNG or WebP.")
		}
		return Inspect(asked.Encoded, contentType, limits)
	}
	header := Header{Type: PixelsType, Width: asked.Width, Height: asked.Height, Orientation: 1}
	if len(asked.Pixels) > limits.Bytes {
		return nil, Header{}, TooManyBytes(limits.Bytes)
	}
	if err := header.checkSize(); err != nil {
		return nil, Header{}, err
	}
	return asked.Pixels, header, header.checkCost(limits)
}

// facesFor has the figures of POST /api/v1/detect.
func facesFor(faces []hub.Face) []openinference.Face {
	told := make([]openinference.Face, len(faces))
	for i, one := range payload.Faces(faces) {
		told[i] = openinference.Face{Box: one.Box, Score: one.Score, Landmarks: one.Landmarks}
	}
	return told
}

// headerLength is how much of the body is JSON, -1 when all is.
func headerLength(r *http.Request) (int, error) {
	text := r.Header.Get(openinference.HeaderLength)
	if text == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, badRequest("%s is %.64q: it must be a number of bytes.", openinference.HeaderLength, text)
	}
	return int(n), nil
}

// readInference takes the body, unpacked, whose size is bounded as that of POST /api/v1/detect. What JSON holds as text is held once
// more as bytes.
func (g *Gateway) readInference(w http.ResponseWriter, r *http.Request, header int) (*body, error) {
	most := g.settings.Limits.Bytes + openinference.JSONMost
	if header < 0 {
		most = inBase64(g.settings.Limits.Bytes) + jsonMore
	}
	if r.ContentLength > int64(most) {
		return nil, TooManyBytes(g.settings.Limits.Bytes)
	}
	from, err := unpacked(r, most)
	if err != nil {
		return nil, err
	}
	sent, err := g.takeBody(w, g.senderOf(r), from, most)
	if err != nil {
		return nil, err
	}
	if header < 0 && sent.hold(int64(len(sent.bytes))) != nil {
		sent.release()
		return nil, busy(time.Second)
	}
	return sent, nil
}

// unpacked reads the body of a request through what its Content-Encoding names.
func unpacked(r *http.Request, most int) (io.Reader, error) {
	packed := io.LimitReader(r.Body, int64(most)) // what unpacks to nothing is no reason to read for ever
	switch encodingOf(r) {
	case "":
		return r.Body, nil
	case "gzip":
		return &lateReader{body: r.Body, open: func() (io.Reader, error) { return gzip.NewReader(packed) }}, nil
	case "deflate":
		return &lateReader{body: r.Body, open: func() (io.Reader, error) { return zlib.NewReader(packed) }}, nil
	default:
		return nil, Refusal{Status: http.StatusUnsupportedMediaType, Title: "This encoding is not taken", Reason: reasonInvalid,
			Detail: "Content-Encoding may be gzip or deflate."}
	}
}

// lateReader opens its reader with the first byte that is wanted, when the time for the body is bounded. It ends where the body does:
// whatever came behind, net/http would wait for when nothing bounds that time any more.
type lateReader struct {
	body io.Reader // what open unpacks
	open func() (io.Reader, error)
	from io.Reader
}

var errBehind = errors.New("something follows what is packed")

// Read opens, then reads.
func (l *lateReader) Read(into []byte) (int, error) {
	if l.from == nil {
		from, err := l.open()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // an empty body is not packed
		}
		if err != nil {
			return 0, err
		}
		l.from = from
	}
	n, err := l.from.Read(into)
	if errors.Is(err, io.EOF) {
		err = l.end()
	}
	return n, err
}

// end is io.EOF where nothing follows.
func (l *lateReader) end() error {
	n, err := io.ReadFull(l.body, make([]byte, 1))
	if n > 0 {
		return errBehind
	}
	return err
}

// refusedInference says what is wrong with a request.
func refusedInference(err error) error {
	if errors.Is(err, openinference.ErrPixels) {
		return notAPicture("%v.", err)
	}
	if errors.Is(err, openinference.ErrMalformed) {
		return badRequest("%v", err)
	}
	return err
}

// tooLateForItself is for a client that had set a limit itself, shorter than the device's. The status is Triton's.
func tooLateForItself(timeout time.Duration) error {
	return Refusal{Status: http.StatusServiceUnavailable, Title: "The answer would come too late", Reason: reasonDeadline, RetryAfter: time.Second,
		Detail: fmt.Sprintf("The request's own timeout is %v: give it more, or send it again.", timeout)}
}

func noSuchModel(name, version, served string) error {
	wanted := name
	if version != "" {
		wanted += " in version " + version
	}
	return Refusal{Status: http.StatusNotFound, Title: "There is no such model", Reason: reasonInvalid,
		Detail: "It asks for " + strconv.Quote(shortened(wanted)) + "; here is " + strconv.Quote(served) + " in version " + openinference.Version + " (detector.model)."}
}

func shortened(text string) string {
	return string(bytes.ToValidUTF8([]byte(text[:min(len(text), 100)]), nil))
}

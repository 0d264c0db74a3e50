// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/rawjson"
)

const (
	jsonType = "application/json"
	jsonMore = 4096 // bytes of a JSON body beside the picture
	// BodyTimeout is how long a picture may take to come.
	BodyTimeout = 10 * time.Second
	// What a body first may take; it doubles as long as more comes. So bodies that hardly come hold next to nothing, however many they are.
	bodyStep = int64(4 << 10)
)

// body is a picture in memory that counts against what all bodies may take. Nothing of it may be used after release.
type body struct {
	bytes       []byte
	memory      []byte // the mapping that holds what was read
	contentType string
	score       float64 // 0 = not asked for
	arrivedNs   int64   // of a WebSocket's message: when it was here whole
	share       share
	held        int64
}

// readBody takes the request's picture. Whoever gets one calls release.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request, client sender) (*body, error) {
	contentType, most, err := g.bodyType(r)
	if err != nil {
		return nil, err
	}
	b, err := g.takeBody(w, client, r.Body, most)
	if err != nil {
		return nil, err
	}
	b.contentType = contentType
	if contentType != jsonType {
		return b, nil
	}
	if err := b.unwrap(); err != nil {
		b.release()
		return nil, err
	}
	return b, nil
}

// takeBody reads what comes, in bounded time, up to so many bytes.
func (g *Gateway) takeBody(w http.ResponseWriter, client sender, from io.Reader, most int) (*body, error) {
	connection := http.NewResponseController(w)
	if err := connection.SetReadDeadline(time.Now().Add(BodyTimeout)); err != nil {
		return nil, fmt.Errorf("bound the time for the body: %w", err)
	}
	b := &body{share: g.bodies.of(client)}
	if err := b.read(from, most); err != nil {
		b.release()
		return nil, g.bodyError(err)
	}
	if err := connection.SetReadDeadline(time.Time{}); err != nil {
		b.release()
		return nil, fmt.Errorf("end the time for the body: %w", err)
	}
	return b, nil
}

// encodingOf is in what a body is packed, "" if in nothing.
func encodingOf(r *http.Request) string {
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "identity":
		return ""
	case "x-gzip": // the same (RFC 9110, 8.4.1.3)
		return "gzip"
	default:
		return encoding
	}
}

// bodyType refuses by the request's own headers what would be refused later anyway.
func (g *Gateway) bodyType(r *http.Request) (contentType string, most int, err error) {
	contentType, _, err = mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		contentType = r.Header.Get("Content-Type")
	}
	most = g.settings.Limits.Bytes
	_, isPicture := formats[contentType]
	switch {
	case encodingOf(r) != "":
		return "", 0, unsupported(contentType + " with Content-Encoding")
	case contentType == jsonType:
		most = inBase64(most) + jsonMore
	case !isPicture:
		return "", 0, unsupported(contentType)
	}
	if r.ContentLength > int64(most) {
		return "", 0, TooManyBytes(g.settings.Limits.Bytes)
	}
	return contentType, most, nil
}

// inBase64 is how many letters so many bytes take.
func inBase64(bytes int) int { return bytes / 3 * 4 }

var (
	errTooLong = errors.New("the body is too long")
	errNoRoom  = errors.New("other bodies take all the memory")
)

// read fills a mapping of its own, of which only what has come takes memory: a client that announces much and sends little holds
// little, nothing is copied while it grows, and all of it is back with release.
func (b *body) read(from io.Reader, most int) error {
	memory, err := unix.Mmap(-1, 0, most+1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return errNoRoom
	}
	_ = unix.Madvise(memory, unix.MADV_NOHUGEPAGE) // a kernel without huge pages refuses, and needs it not
	b.memory, b.bytes = memory, memory[:0]
	for {
		if int64(len(b.bytes)) == b.held {
			if err := b.hold(min(max(b.held, bodyStep), int64(most+1)-b.held)); err != nil {
				return err
			}
		}
		n, err := from.Read(memory[len(b.bytes):b.held])
		b.bytes = memory[:len(b.bytes)+n]
		switch {
		case len(b.bytes) > most:
			return errTooLong
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (b *body) hold(more int64) error {
	if !b.share.take(more) {
		return errNoRoom
	}
	b.held += more
	return nil
}

// release may be called for no body.
func (b *body) release() {
	if b == nil {
		return
	}
	b.share.giveBack(b.held)
	if b.memory != nil {
		if err := unix.Munmap(b.memory); err != nil {
			panic("gateway: munmap of a body's own mapping: " + err.Error()) // only a wild write to the struct can cause it
		}
	}
	b.held, b.bytes, b.memory = 0, nil, nil
}

// bodyError says in the client's words why a body was not taken.
func (g *Gateway) bodyError(err error) error {
	switch {
	case errors.Is(err, errTooLong):
		return TooManyBytes(g.settings.Limits.Bytes)
	case errors.Is(err, errNoRoom):
		return busy(time.Second)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TooSlow()
	}
	return badRequest("The body cannot be read: %v.", err)
}

// TooSlow is for a client whose picture does not come.
func TooSlow() error {
	return Refusal{Status: http.StatusRequestTimeout, Title: "The picture came too slowly", Reason: reasonInvalid,
		Detail: fmt.Sprintf("It was not here after %.0f s.", BodyTimeout.Seconds())}
}

// unwrap takes the picture out of JSON, without more memory: it is decoded where its text lies. Its type follows from how it begins.
func (b *body) unwrap() error {
	image, score, err := wrapped(b.bytes)
	if err != nil {
		return badRequest(`The JSON cannot be read: %v; send {"image": base64, "score": 0.5}, of which score may be left out.`, err)
	}
	if score < 0 || score > 1 {
		return badRequest("score is %v: it must be from 0 to 1.", score)
	}
	b.bytes, b.contentType, b.score = image, typeOf(image), score
	if b.contentType == "" {
		return notAPicture("`image` is no JPEG, PNG or WebP in base64.")
	}
	return nil
}

var errNoImage = errors.New("there is no image in it")

// wrapped reads the JSON of a picture, and writes the picture over its text.
func wrapped(object []byte) (image []byte, score float64, err error) {
	if err := json.Unmarshal(object, &struct{}{}); err != nil { // only to see that it is well-formed
		return nil, 0, err
	}
	there := false
	err = rawjson.Members(object, func(name, value []byte) (err error) {
		switch {
		case bytes.EqualFold(name, []byte(`"image"`)):
			there = true
			image, err = rawjson.Base64(value, value)
		case bytes.EqualFold(name, []byte(`"score"`)):
			err = json.Unmarshal(value, &score)
		default:
			err = fmt.Errorf("unknown field %.64q", bytes.Trim(name, `"`))
		}
		return err
	})
	if err == nil && !there {
		err = errNoImage
	}
	return image, score, err
}

func typeOf(picture []byte) string {
	for _, contentType := range []string{jpegType, pngType, webpType} {
		if formats[contentType].begins(picture) {
			return contentType
		}
	}
	return ""
}

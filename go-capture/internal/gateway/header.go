// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"net/http"

	"golang.org/x/image/webp"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
)

const (
	jpegType = "image/jpeg"
	pngType  = "image/png"
	webpType = "image/webp"

	aspectMost    = 32 // the longer side over the shorter one: no face is found in a thread
	scansMost     = 100
	bytesPerPixel = 3
)

// Limits bound what a picture may cost before a byte of it is decoded.
type Limits struct {
	Bytes       int // of the encoded picture
	DecodeBytes int // of memory while it is decoded
}

// Header is what a picture says about itself. Width and Height are as stored; Orientation is EXIF's, 1 to 8.
type Header struct {
	Type          string
	Width, Height int
	Orientation   int

	pixelBytes float64 // of the decoder's own memory for each stored pixel, beside the result
}

// format is one kind of picture that clients may send: how it begins, who reads its header, and what else there is to look at.
type format struct {
	begins func([]byte) bool
	config func(io.Reader) (image.Config, error)
	look   func([]byte, *Header) ([]byte, error)
}

var formats = map[string]format{
	jpegType: {func(b []byte) bool { return bytes.HasPrefix(b, []byte("\xff\xd8\xff")) }, jpeg.DecodeConfig, lookAtJPEG},
	pngType:  {func(b []byte) bool { return bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")) }, png.DecodeConfig, lookAtPNG},
	webpType: {func(b []byte) bool { return len(b) > 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP" }, webp.DecodeConfig, lookAtWebP},
}

// Inspect reads the header of a picture that claims to be of the content type. It returns the part of the body that is to be
// decoded, which shares the body's memory: what only tells about the picture is left out of it, and Inspect may move bytes of the
// body for that. Refusals: 413 too many bytes or pixels, 415 no such type, 422 damaged or not of its type.
func Inspect(body []byte, contentType string, limits Limits) ([]byte, Header, error) {
	kind, known := formats[contentType]
	if !known {
		return nil, Header{}, unsupported(contentType)
	}
	if len(body) > limits.Bytes {
		return nil, Header{}, TooManyBytes(limits.Bytes)
	}
	if !kind.begins(body) {
		return nil, Header{}, notAPicture("The body is not of the type %s that its Content-Type names.", contentType)
	}
	config, err := kind.config(bytes.NewReader(body))
	if err != nil {
		return nil, Header{}, notAPicture("The header of the picture cannot be read: %v.", err)
	}
	header := Header{Type: contentType, Width: config.Width, Height: config.Height, Orientation: 1}
	if err := header.checkSize(); err != nil {
		return nil, Header{}, err
	}
	wanted, err := kind.look(body, &header)
	if err != nil {
		return nil, Header{}, err
	}
	if err := header.checkCost(limits); err != nil {
		return nil, Header{}, err
	}
	return wanted, header, nil
}

func (h Header) checkCost(limits Limits) error {
	cost := h.Cost(h.mostReduced())
	if cost <= limits.DecodeBytes {
		return nil
	}
	return tooManyPixels("Decoding these %dx%d pixels takes %d MiB of memory, gateway.decode_mb allows %d: send it smaller, or as "+
		"baseline JPEG.", h.Width, h.Height, cost>>20, limits.DecodeBytes>>20)
}

func (h Header) checkSize() error {
	long, short := max(h.Width, h.Height), min(h.Width, h.Height)
	switch {
	case short < 1:
		return notAPicture("The picture has %dx%d pixels.", h.Width, h.Height)
	case long > frame.SideMost || h.Width*h.Height > frame.PixelsMost:
		return tooManyPixels("The picture has %dx%d pixels; the limits are %d on a side and %d million in all: send it smaller.",
			h.Width, h.Height, frame.SideMost, frame.PixelsMost/1_000_000)
	case long > aspectMost*short:
		return notAPicture("The picture has %dx%d pixels: its longer side may be %d times the shorter one.", h.Width, h.Height, aspectMost)
	}
	return nil
}

// Upright is the picture's size as people see it.
func (h Header) Upright() (width, height int) {
	if h.Orientation >= 5 {
		return h.Height, h.Width
	}
	return h.Width, h.Height
}

// Reduced is the stored size at 1/reduce of the scale, as libjpeg rounds it.
func (h Header) Reduced(reduce int) (width, height int) {
	return (h.Width + reduce - 1) / reduce, (h.Height + reduce - 1) / reduce
}

// Beyond is what the picture, decoded at 1/reduce of the scale and upright, shows beside itself: its last column and row stand for up to
// reduce-1 pixels that are not there, and EXIF's orientation says on which sides those come to lie.
func (h Header) Beyond(reduce int) geometry.Margins {
	width, height := h.Reduced(reduce)
	across, down := width*reduce-h.Width, height*reduce-h.Height
	if h.Orientation >= 5 {
		across, down = down, across
	}
	var beside geometry.Margins
	switch h.Orientation {
	case 2, 3, 6, 7:
		beside.Left = across
	default:
		beside.Right = across
	}
	switch h.Orientation {
	case 3, 4, 7, 8:
		beside.Top = down
	default:
		beside.Bottom = down
	}
	return beside
}

// Cost is the memory in bytes that decoding at 1/reduce of the scale takes, until the picture is upright.
func (h Header) Cost(reduce int) int {
	width, height := h.Reduced(reduce)
	pictures := 1
	if h.Orientation != 1 {
		pictures = 2
	}
	return pictures*bytesPerPixel*width*height + int(math.Ceil(h.pixelBytes*float64(h.Width*h.Height)))
}

// mostReduced is the smallest scale at which the picture can be decoded: only JPEG can be decoded smaller.
func (h Header) mostReduced() int {
	if h.Type == jpegType {
		return 8
	}
	return 1
}

// ReduceFor is the largest of 8, 4, 2 and 1 at which the picture is still no smaller than width x height, its place in the
// network's input, and 1 for what is no JPEG.
func (h Header) ReduceFor(width, height int) int {
	uprightWidth, uprightHeight := h.Upright()
	for reduce := h.mostReduced(); reduce > 1; reduce /= 2 {
		if uprightWidth/reduce >= width && uprightHeight/reduce >= height {
			return reduce
		}
	}
	return 1
}

func unsupported(contentType string) error {
	return Refusal{Status: http.StatusUnsupportedMediaType, Title: "Pictures of this type are not taken", Reason: reasonInvalid,
		Detail: fmt.Sprintf("Content-Type is %q; send %s, %s, %s, or application/json with the picture as base64.", contentType, jpegType, pngType, webpType)}
}

// TooManyBytes refuses a picture that is larger than so many bytes.
func TooManyBytes(most int) error {
	return Refusal{Status: http.StatusRequestEntityTooLarge, Title: "The picture has too many bytes", Reason: reasonInvalid,
		Detail: fmt.Sprintf("gateway.picture_mb allows %d MiB: send it smaller.", most>>20)}
}

func tooManyPixels(format string, values ...any) error {
	return Refusal{Status: http.StatusRequestEntityTooLarge, Title: "The picture has too many pixels", Reason: reasonInvalid,
		Detail: fmt.Sprintf(format, values...)}
}

func notAPicture(format string, values ...any) error {
	return Refusal{Status: http.StatusUnprocessableEntity, Title: "This is not a picture that can be decoded", Reason: reasonInvalid,
		Detail: fmt.Sprintf(format, values...)}
}

// SPDX-License-Identifier: Apache-2.0

package openinference

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"visavis/capture/internal/rawjson"
)

const (
	shapeMost  = 256 // bytes of a shape in JSON
	prefixSize = 4   // of each element of a BYTES tensor: its length
)

// ErrOneInput says what a request must have.
var ErrOneInput = malformedf("A request has one input: `image`, BYTES of shape [1] with a JPEG, PNG or WebP, or `pixels`, UINT8 of shape " +
	"[1, height, width, 3]. Send one request for each picture; they run side by side.")

// Input is a tensor that a client sent.
type Input struct {
	Name, Datatype string
	Shape          []int64
	content        content
}

// content is the data of a tensor: the one element of BYTES, or UINT8 numbers.
type content struct {
	element []byte // never nil when there is one
	numbers []byte
}

func (c content) given() bool { return c.element != nil || c.numbers != nil }

// WithElement is the input with the element of a BYTES tensor.
func (i Input) WithElement(element []byte) Input {
	i.content = content{element: element}
	return i
}

// WithNumbers is the input with numbers of a UINT8 tensor.
func (i Input) WithNumbers(numbers []byte) Input {
	i.content = content{numbers: numbers}
	return i
}

// WithRaw is the input with its data as bytes: elements of BYTES have their length, four bytes, the lowest first, in front.
func (i Input) WithRaw(raw []byte) (Input, error) {
	if i.Datatype != bytesType {
		return i.WithNumbers(raw), nil
	}
	if len(raw) < prefixSize || int64(binary.LittleEndian.Uint32(raw)) != int64(len(raw)-prefixSize) {
		return i, malformedf("The %d bytes of the input %.64q are not one element with its length in front.", len(raw), i.Name)
	}
	return i.WithElement(raw[prefixSize:]), nil
}

// fill puts the picture into the request.
func (i Input) fill(r *Request) error {
	switch {
	case i.Name == imageName && i.Datatype == bytesType:
		return i.fillEncoded(r)
	case i.Name == pixelsName && i.Datatype == uint8Type:
		return i.fillPixels(r)
	}
	return malformedf("The input %.64q of type %.16q is not one of this model's: send `image` as BYTES, or `pixels` as UINT8.", i.Name, i.Datatype)
}

func (i Input) fillEncoded(r *Request) error {
	one := len(i.Shape) == 1 && i.Shape[0] == 1 || len(i.Shape) == 2 && i.Shape[0] == 1 && i.Shape[1] == 1
	if !one {
		return ErrOneInput
	}
	if i.content.element == nil {
		return malformedf("The input image has no element of BYTES. In JSON that is the picture in base64, as text.")
	}
	r.Encoded = i.content.element
	return nil
}

func (i Input) fillPixels(r *Request) error {
	height, width, ok := sides(i.Shape)
	if !ok {
		return malformedf("The input pixels must have the shape [1, height, width, 3], or [height, width, 3].")
	}
	// Sides are below 2^31, so that their product has room.
	if i.content.element != nil || int64(len(i.content.numbers))%channels != 0 || height*width != int64(len(i.content.numbers))/channels {
		return fmt.Errorf("%w: the input pixels has %d numbers, and %dx%d pixels need 3 for each", ErrPixels, len(i.content.numbers), width, height)
	}
	r.Pixels, r.Width, r.Height = i.content.numbers, int(width), int(height)
	return nil
}

func sides(shape []int64) (height, width int64, ok bool) {
	if len(shape) == 4 && shape[0] == 1 {
		shape = shape[1:]
	}
	if len(shape) != 3 || shape[2] != channels {
		return 0, 0, false
	}
	height, width = shape[0], shape[1]
	return height, width, min(height, width) >= 1 && max(height, width) <= math.MaxInt32
}

// shape is a short list of sides.
type shape []int64

// UnmarshalJSON reads a list that is not long.
func (s *shape) UnmarshalJSON(text []byte) error {
	if len(text) > shapeMost {
		return malformedf("A shape takes %d bytes.", len(text))
	}
	return json.Unmarshal(text, (*[]int64)(s))
}

// UnmarshalJSON reads the data of a tensor from lists in lists without holding more than their bytes: texts are base64.
func (c *content) UnmarshalJSON(text []byte) error {
	*c = content{}
	if text[0] != '[' {
		return malformedf("Data of a tensor is a list.")
	}
	for at := 0; at < len(text); {
		switch first := text[at]; {
		case first == '"':
			end := rawjson.EndOfText(text, at)
			if err := c.addElement(text[at:end]); err != nil {
				return err
			}
			at = end
		case first >= '0' && first <= '9':
			end := at + 1
			for end < len(text) && !isSpace(text[end]) {
				end++
			}
			if err := c.addNumber(text[at:end], len(text)); err != nil {
				return err
			}
			at = end
		case isSpace(first):
			at++
		default:
			return malformedf("Data of a tensor is a list of numbers from 0 to 255, or a picture in base64.")
		}
	}
	return nil
}

// isSpace tells whether a byte only separates values.
func isSpace(b byte) bool {
	switch b {
	case ' ', '\t', '\r', '\n', ',', '[', ']':
		return true
	}
	return false
}

func (c *content) addElement(quoted []byte) error {
	if c.given() {
		return ErrOneInput
	}
	element, err := rawjson.Base64(make([]byte, len(quoted)), quoted)
	if err != nil {
		return malformedf("A picture in JSON must be base64: %v.", err)
	}
	c.element = element
	return nil
}

// addNumber adds one of the numbers of a list of so many bytes.
func (c *content) addNumber(digits []byte, listBytes int) error {
	number, err := strconv.ParseUint(string(digits), 10, 8)
	if err != nil {
		return malformedf("%.16q is not a number from 0 to 255.", digits)
	}
	if c.element != nil {
		return ErrOneInput
	}
	if c.numbers == nil {
		c.numbers = make([]byte, 0, listBytes/2)
	}
	c.numbers = append(c.numbers, byte(number))
	return nil
}

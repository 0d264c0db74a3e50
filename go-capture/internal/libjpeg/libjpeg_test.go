// SPDX-License-Identifier: Apache-2.0

package libjpeg_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"visavis/capture/internal/libjpeg"
)

const width, height = 101, 67

func encoded(t *testing.T) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for n := range width * height {
		picture.Set(n%width, n/width, color.RGBA{byte(n), byte(n / width), byte(n % 7 * 30), 255})
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The pixels themselves are compared with OpenCV's in package preprocess.
func TestNothingIsWrittenBehindThePicture(t *testing.T) {
	for reduce, size := range map[int][2]int{1: {101, 67}, 2: {51, 34}, 4: {26, 17}, 8: {13, 9}} {
		pixels := size[0] * size[1] * 3
		memory := bytes.Repeat([]byte{0xA5}, pixels+64)
		if err := libjpeg.Decode(encoded(t), reduce, memory[:pixels:pixels], size[0], size[1]); err != nil {
			t.Fatal(err)
		}
		if behind := memory[pixels:]; len(bytes.Trim(behind, "\xA5")) > 0 {
			t.Errorf("1/%d: %v", reduce, behind)
		}
	}
}

func TestWhatIsNoWholePictureIsRefused(t *testing.T) {
	body := encoded(t)
	pixels := make([]byte, width*height*3)
	two := bytes.Clone(body)
	frame := bytes.Index(two, []byte{0xFF, 0xC0})
	two[frame+3] -= 3 // the header is one component shorter
	two[frame+9] = 2
	two = append(bytes.Clone(two[:frame+16]), two[frame+19:]...)
	two = bytes.Replace(two, []byte("\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11"), []byte("\xff\xda\x00\x0a\x02\x01\x00\x02\x11"), 1)
	for name, damaged := range map[string][]byte{
		"nothing": nil, "two bytes": body[:2], "a header": body[:100], "half": body[:len(body)/2], "without its end": body[:len(body)-2],
		"text": []byte("no picture at all"), "half, with an end": append(bytes.Clone(body[:len(body)/2]), 0xFF, 0xD9),
		"a tenth missing in the middle": append(bytes.Clone(body[:len(body)/2]), body[len(body)*6/10:]...),
	} {
		if err := libjpeg.Decode(damaged, 1, pixels, width, height); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := libjpeg.Decode(body, 1, pixels[:len(pixels)-3], width, height); err == nil {
		t.Error("memory that is too small is accepted")
	}
	if err := libjpeg.Decode(body, 1, pixels, height, width); !errors.Is(err, libjpeg.ErrSize) {
		t.Errorf("another size: %v", err)
	}
	if err := libjpeg.Decode(two, 1, pixels, width, height); !errors.Is(err, libjpeg.ErrColours) {
		t.Errorf("two components: %v", err)
	}
}

// Bytes may be lost anywhere, and what libjpeg makes of the rest differs.
func TestBytesMissingInTheMiddleAreNoWholePicture(t *testing.T) {
	body := encoded(t)
	pixels := make([]byte, width*height*3)
	from, until := bytes.Index(body, []byte{0xFF, 0xDA})+14, len(body)*8/10
	for at := from; at < until; at += 97 {
		if err := libjpeg.Decode(append(bytes.Clone(body[:at]), body[at+len(body)/10:]...), 1, pixels, width, height); err == nil {
			t.Errorf("accepted without what follows byte %d", at)
		}
	}
}

// Cameras send such pictures all the time.
func TestWhatCamerasLeaveOutOrAddIsDecoded(t *testing.T) {
	body := encoded(t)
	end := len(body) - 2
	pixels := make([]byte, width*height*3)
	for name, sent := range map[string][]byte{
		"a zero byte before its end":      append(append(bytes.Clone(body[:end]), 0), body[end:]...),
		"the last byte of pixels missing": append(bytes.Clone(body[:end-1]), body[end:]...),
		"bytes before its first segment":  append([]byte("\xff\xd8??"), body[2:]...),
		"padding":                         append(bytes.Clone(body), make([]byte, 500)...),
	} {
		if err := libjpeg.Decode(sent, 1, pixels, width, height); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

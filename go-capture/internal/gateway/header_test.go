// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/gateway/decode"
)

var limits = gateway.Limits{Bytes: 1 << 20, DecodeBytes: 48 << 20}

// speckled is a picture without any symmetry, so that a wrong turn shows.
func speckled(width, height int) image.Image {
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			picture.Set(x, y, color.RGBA{uint8(255 * x / width), uint8(255 * y / height), uint8((x*y)%7) * 30, 255})
		}
	}
	return picture
}

func asJPEG(t testing.TB, picture image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func asPNG(t testing.TB, picture image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// lossyWebP is 1x1, losslessWebP is 1x1 too: from the WebP project's own smallest examples.
func webpOf(t testing.TB, text string) []byte {
	t.Helper()
	picture, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

const (
	lossyWebP    = "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"
	losslessWebP = "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="
)

// exif is a TIFF structure with nothing but an orientation.
func exif(order binary.AppendByteOrder, mark string, orientation uint16) []byte {
	tiff := append([]byte(mark), 0, 0)
	tiff = tiff[:2]
	tiff = order.AppendUint16(tiff, 42)
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 1)
	tiff = order.AppendUint16(tiff, 0x0112)
	tiff = order.AppendUint16(tiff, 3)
	tiff = order.AppendUint32(tiff, 1)
	tiff = order.AppendUint16(tiff, orientation)
	return append(tiff, 0, 0, 0, 0, 0, 0)
}

// withSegment puts a segment behind SOI.
func withSegment(picture []byte, marker byte, content []byte) []byte {
	segment := binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(len(content)+2))
	return append(append(append([]byte{}, picture[:2]...), append(segment, content...)...), picture[2:]...)
}

func turned(picture []byte, orientation uint16) []byte {
	return withSegment(picture, 0xE1, append([]byte("Exif\x00\x00"), exif(binary.BigEndian, "MM", orientation)...))
}

func chunk(kind string, content []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	out = append(append(out, kind...), content...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}

// pngOf announces any size, with any pixel data behind it.
func pngOf(width, height uint32, interlaced byte, data []byte, extra ...[]byte) []byte {
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	out := append([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", append(header, 8, 2, 0, 0, interlaced))...)
	for _, more := range extra {
		out = append(out, more...)
	}
	return append(append(out, chunk("IDAT", data)...), chunk("IEND", nil)...)
}

func deflated(n int) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(make([]byte, n)) // a buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// resized announces another size in a JPEG's frame header.
func resized(picture []byte, width, height uint16) []byte {
	out := append([]byte{}, picture...)
	at := bytes.Index(out, []byte{0xFF, 0xC0}) + 5
	binary.BigEndian.PutUint16(out[at:], height)
	binary.BigEndian.PutUint16(out[at+2:], width)
	return out
}

func progressive(picture []byte) []byte {
	return bytes.Replace(picture, []byte{0xFF, 0xC0}, []byte{0xFF, 0xC2}, 1)
}

// scanned has so many scans more, without anything in them.
func scanned(picture []byte, more int) []byte {
	end := len(picture) - 2
	return append(append(bytes.Clone(picture[:end]), bytes.Repeat([]byte{0xFF, 0xDA, 0, 2}, more)...), picture[end:]...)
}

func statusOf(err error) int {
	var refused gateway.Refusal
	if errors.As(err, &refused) {
		return refused.Status
	}
	if err != nil {
		return http.StatusInternalServerError
	}
	return http.StatusOK
}

func TestEachPictureGetsItsStatusFromTheHeaderAlone(t *testing.T) {
	photo, drawing := asJPEG(t, speckled(64, 48)), asPNG(t, speckled(64, 48))
	for name, c := range map[string]struct {
		contentType string
		body        []byte
		want        int
	}{
		"a JPEG":                              {"image/jpeg", photo, 200},
		"a PNG":                               {"image/png", drawing, 200},
		"a lossy WebP":                        {"image/webp", webpOf(t, lossyWebP), 200},
		"a lossless WebP":                     {"image/webp", webpOf(t, losslessWebP), 200},
		"a GIF":                               {"image/gif", []byte("GIF89a"), 415},
		"no type":                             {"", photo, 415},
		"a PNG that claims to be a JPEG":      {"image/jpeg", drawing, 422},
		"a JPEG that claims to be a PNG":      {"image/png", photo, 422},
		"nothing":                             {"image/jpeg", nil, 422},
		"text":                                {"image/webp", []byte("hello, this is not a picture"), 422},
		"a JPEG of 65535x65535":               {"image/jpeg", resized(photo, 65535, 65535), 413},
		"a JPEG of 16000x2000":                {"image/jpeg", resized(photo, 16000, 2000), 200},
		"a JPEG like a thread":                {"image/jpeg", resized(photo, 8000, 8), 422},
		"a JPEG without pixels":               {"image/jpeg", resized(photo, 0, 48), 422},
		"a progressive JPEG of 36 MP":         {"image/jpeg", progressive(resized(photo, 6000, 6000)), 413},
		"a progressive JPEG of 4 MP":          {"image/jpeg", progressive(resized(photo, 2000, 2000)), 200},
		"a JPEG without its end":              {"image/jpeg", photo[:len(photo)-2], 422},
		"a JPEG cut off in its header":        {"image/jpeg", photo[:60], 422},
		"a JPEG of a thousand scans":          {"image/jpeg", scanned(photo, 200), 422},
		"a JPEG of ninety-nine scans":         {"image/jpeg", scanned(photo, 98), 200},
		"a JPEG with a film behind its end":   {"image/jpeg", append(photo[:len(photo):len(photo)], bytes.Repeat([]byte{0xFF, 0xDA}, 1<<18)...), 200},
		"a JPEG whose end another one brings": {"image/jpeg", withSegment(photo[:len(photo)-2], 0xE2, photo), 422},
		"a JPEG with an end and no scan":      {"image/jpeg", append(bytes.Clone(photo[:bytes.Index(photo, []byte{0xFF, 0xDA})]), 0xFF, 0xD9, 0, 2), 422},
		"a JPEG that hides another":           {"image/jpeg", withSegment(photo, 0x00, progressive(resized(photo, 6000, 6000))[2:]), 422},
		"a PNG of 30000x30000":                {"image/png", pngOf(30000, 30000, 0, deflated(1000)), 413},
		"an interlaced PNG of 12000x3000":     {"image/png", pngOf(12000, 3000, 1, deflated(1000)), 413},
		"a PNG of 4000x4000":                  {"image/png", pngOf(4000, 4000, 0, deflated(1000)), 200},
		"a PNG cut off":                       {"image/png", drawing[:len(drawing)-20], 422},
		"a PNG with a chunk of 4 GB":          {"image/png", append(drawing[:33:33], 0xFF, 0xFF, 0xFF, 0xFF, 'I', 'D', 'A', 'T', 0, 0, 0, 0), 422},
		"a WebP cut off":                      {"image/webp", webpOf(t, lossyWebP)[:40], 422},
		"too many bytes":                      {"image/jpeg", append(photo, make([]byte, 1<<20)...), 413},
	} {
		_, header, err := gateway.Inspect(c.body, c.contentType, limits)
		if got := statusOf(err); got != c.want {
			t.Errorf("%s: status %d (%v, header %+v), want %d", name, got, err, header, c.want)
		}
	}
}

// Phones append a film, or the same picture larger and brighter.
func TestWhatLiesBehindAJPEGIsNotLookedAt(t *testing.T) {
	photo := asJPEG(t, speckled(64, 48))
	for name, behind := range map[string][]byte{"a film": bytes.Repeat([]byte{0xFF, 0xDA}, 1<<18), "a picture": asJPEG(t, speckled(640, 480)), "nothing": nil} {
		wanted, header, err := gateway.Inspect(append(bytes.Clone(photo), behind...), "image/jpeg", limits)
		if err != nil || !bytes.Equal(wanted, photo) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(wanted), len(photo), err)
			continue
		}
		decoded(t, wanted, header, 1)
	}
}

func TestWhatLiesBetweenTheSegmentsOfAJPEGIsSaid(t *testing.T) {
	photo := asJPEG(t, speckled(64, 48))
	for name, bytesBetween := range map[string]string{"text": "??", "one byte": "x", "zeroes": "\x00\x00", "a marker of zero": "\xff\x00"} {
		_, _, err := gateway.Inspect([]byte("\xff\xd8\xff\xfe\x00\x02"+bytesBetween+string(photo[2:])), "image/jpeg", limits)
		if err == nil || !strings.Contains(err.Error(), "Something lies between the segments of the JPEG.") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A PNG may hold a thousand texts of 8 kB that unpack to 8 MB each: none of them reaches the decoder.
func TestTextsAndProfilesOfAPNGAreNotUnpacked(t *testing.T) {
	bomb := chunk("zTXt", append([]byte("a\x00\x00"), deflated(8_000_000)...))
	body := pngOf(4, 4, 0, deflated(4*13), bomb, bomb, chunk("eXIf", exif(binary.LittleEndian, "II", 6)), bomb)
	kept, header, err := gateway.Inspect(body, "image/png", limits)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(kept, []byte("zTXt")) || len(kept) > 200 {
		t.Errorf("%d bytes are left, with texts", len(kept))
	}
	if header.Orientation != 6 {
		t.Errorf("orientation %d, want 6", header.Orientation)
	}
	decoded(t, kept, header, 1)
}

func TestTheScaleLeavesThePictureNoSmallerThanItsPlaceInTheNetwork(t *testing.T) {
	photo := asJPEG(t, speckled(64, 48))
	for _, c := range []struct {
		width, height uint16
		want          int
	}{{640, 480, 1}, {1279, 959, 1}, {1280, 960, 2}, {4000, 3000, 4}, {6000, 5000, 8}} {
		_, header, err := gateway.Inspect(resized(photo, c.width, c.height), "image/jpeg", limits)
		if err != nil {
			t.Fatal(err)
		}
		if got := header.ReduceFor(640, 480); got != c.want {
			t.Errorf("%dx%d is decoded at 1/%d, want 1/%d", c.width, c.height, got, c.want)
		}
	}
	_, header, err := gateway.Inspect(asPNG(t, speckled(640, 480)), "image/png", limits)
	if err != nil || header.ReduceFor(32, 32) != 1 {
		t.Errorf("a PNG cannot be decoded smaller: %v", err)
	}
}

func decoded(t *testing.T, body []byte, header gateway.Header, reduce int) *frame.Picture {
	t.Helper()
	pool := frame.NewPool(1)
	picture, _ := pool.Get()
	t.Cleanup(func() { picture.Release(); pool.Close() })
	if err := decode.Upright(body, header, reduce, picture); err != nil {
		t.Fatal(err)
	}
	return picture
}

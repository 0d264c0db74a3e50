// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"visavis/capture/internal/jpegfile"
)

// drawing is a JPEG with some detail.
func drawing(t testing.TB, width, height int) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for n := range width * height {
		picture.Set(n%width, n/width, color.RGBA{uint8(7 * n), uint8(n / 3), uint8(n % 251), 255})
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func segment(marker byte, content string) []byte {
	length := binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(len(content)+2))
	return append(length, content...)
}

// with puts segments behind the first marker, and more behind the picture.
func with(picture []byte, behind string, segments ...[]byte) []byte {
	out := append([]byte{}, picture[:2]...)
	for _, one := range segments {
		out = append(out, one...)
	}
	return append(append(out, picture[2:]...), behind...)
}

func TestOnlyThePictureOfAJPEGIsLeft(t *testing.T) {
	plain := drawing(t, 40, 30)
	jfif := segment(jpegfile.APP0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")
	told := with(plain, "another picture\xff\xd8\xff\xd9", jfif,
		segment(jpegfile.APP0, "JFXX\x00\x10thumbnail"), segment(jpegfile.APP1, "Exif\x00\x00 51.5 N, 0.1 W"), segment(0xE2, "MPF\x00"),
		segment(0xED, "Photoshop"), []byte("between segments"), segment(jpegfile.COM, "taken by Ada"))
	if got := stripMetadata(told); !bytes.Equal(got, with(plain, "", jfif)) {
		t.Errorf("%d bytes are left, want %d", len(got), len(plain)+len(jfif))
	}
	if got := stripMetadata(append([]byte{}, plain...)); !bytes.Equal(got, plain) {
		t.Errorf("a picture with nothing beside it became %d of %d bytes", len(got), len(plain))
	}
}

func TestAFileThatIsNotBuiltAsAJPEGIsLeftAlone(t *testing.T) {
	plain := drawing(t, 40, 30)
	for name, file := range map[string][]byte{
		"cut off": plain[:len(plain)-2], "empty": {}, "one byte": {0xFF}, "without segments": {0xFF, jpegfile.SOI},
		"cut in a segment": with(plain, "", segment(jpegfile.COM, "x"))[:5],
		"length of one":    with(plain, "", []byte{0xFF, jpegfile.COM, 0, 1}),
	} {
		before := append([]byte{}, file...)
		if got := stripMetadata(file); got != nil || !bytes.Equal(before, file) {
			t.Errorf("%s: %d bytes are left, or it was changed", name, len(got))
		}
	}
}

// FuzzStripMetadata: whatever is taken out, the picture is the same, and nothing is left that tells about it.
func FuzzStripMetadata(f *testing.F) {
	plain := drawing(f, 24, 16)
	for _, file := range [][]byte{
		plain, with(plain, "\xff\xd8more", segment(jpegfile.APP1, "Exif\x00\x00MM")), with(plain, "", segment(jpegfile.APP14, "Adobe\x00d\x00\x00\x00\x00\x01")),
		with(plain, "", segment(jpegfile.COM, "\xff\xd9"), segment(jpegfile.APP0, "JFXX\x00")),
	} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		before := append([]byte{}, file...)
		left := stripMetadata(file)
		if left == nil {
			if !bytes.Equal(before, file) {
				t.Fatal("a file that is not taken was changed")
			}
			return
		}
		if len(left) > len(before) || !bytes.Equal(stripMetadata(append([]byte{}, left...)), left) {
			t.Fatalf("%d of %d bytes, and something is still to be taken out", len(left), len(before))
		}
		was, err := jpeg.DecodeConfig(bytes.NewReader(before))
		if err != nil {
			return
		}
		if is, err := jpeg.DecodeConfig(bytes.NewReader(left)); err != nil || is.Width != was.Width || is.Height != was.Height {
			t.Fatalf("%dx%d became %dx%d: %v", was.Width, was.Height, is.Width, is.Height, err)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package decode_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"testing"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/gateway/decode"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/preprocess"
)

var limits = gateway.Limits{Bytes: 1 << 24, DecodeBytes: 1 << 26}

// photo is a JPEG without symmetry, with EXIF's orientation in front.
func photo(t testing.TB, width, height int, orientation byte) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			picture.Set(x, y, color.RGBA{uint8(255 * x / width), uint8(255 * y / height), uint8(x * y / 64), 255})
		}
	}
	return oriented(t, picture, orientation)
}

// oriented is a JPEG with EXIF's orientation in front.
func oriented(t testing.TB, picture image.Image, orientation byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	tiff := []byte{'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0}
	segment := append([]byte{0xFF, 0xE1, 0, 0}, append([]byte("Exif\x00\x00"), tiff...)...)
	binary.BigEndian.PutUint16(segment[2:], uint16(len(segment)-2))
	return append(append(append([]byte{}, out.Bytes()[:2]...), segment...), out.Bytes()[2:]...)
}

func upright(t *testing.T, body []byte, reduce int) *frame.Picture {
	t.Helper()
	kept, header, err := gateway.Inspect(body, "image/jpeg", limits)
	if err != nil {
		t.Fatal(err)
	}
	pool := frame.NewPool(1)
	picture, _ := pool.Get()
	t.Cleanup(func() { picture.Release(); pool.Close() })
	if err := decode.Upright(kept, header, reduce, picture); err != nil {
		t.Fatal(err)
	}
	return picture
}

// OpenCV turns JPEGs by itself when it is let: it is the reference for all eight orientations and all four scales.
func TestOrientationAndScaleAreThoseOfOpenCV(t *testing.T) {
	flags := map[int]gocv.IMReadFlag{
		1: gocv.IMReadColor, 2: gocv.IMReadReducedColor2, 4: gocv.IMReadReducedColor4, 8: gocv.IMReadReducedColor8,
	}
	for orientation := byte(1); orientation <= 8; orientation++ {
		body := photo(t, 101, 67, orientation)
		for reduce, flag := range flags {
			picture := upright(t, body, reduce)
			want, err := gocv.IMDecode(body, flag)
			if err != nil {
				t.Fatal(err)
			}
			if want.Cols() != picture.Width || want.Rows() != picture.Height || !bytes.Equal(want.ToBytes(), picture.Pixels) {
				t.Errorf("orientation %d at 1/%d: %dx%d is not OpenCV's %dx%d", orientation, reduce, picture.Width, picture.Height, want.Cols(), want.Rows())
			}
			_ = want.Close()
		}
	}
}

func TestADamagedPictureIsAnError(t *testing.T) {
	body := photo(t, 640, 480, 1)
	scan := bytes.Index(body, []byte{0xFF, 0xDA})
	kept, header, err := gateway.Inspect(body, "image/jpeg", limits)
	if err != nil {
		t.Fatal(err)
	}
	pool := frame.NewPool(1)
	defer pool.Close()
	into, _ := pool.Get()
	defer into.Release()
	header.Width, header.Height = 320, 480
	if err := decode.Upright(kept, header, 1, into); !errors.Is(err, decode.ErrDamaged) {
		t.Errorf("a picture of another size than announced: %v", err)
	}
	header.Width = 640
	for _, end := range []int{40, scan - 300, scan} {
		if err := decode.Upright(kept[:end], header, 1, into); !errors.Is(err, decode.ErrDamaged) {
			t.Errorf("a picture of its first %d bytes: %v", end, err)
		}
	}
}

// marked is black with a white square of 64 pixels, whose top left corner is at x, y as the picture is stored.
func marked(t *testing.T, width, height, x, y int, orientation byte) []byte {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, width, height))
	for i := range 64 {
		for j := range 64 {
			picture.Set(x+i, y+j, color.White)
		}
	}
	return oriented(t, picture, orientation)
}

// middle is the centre of what is bright.
func middle(pixels []byte, width int) (x, y float32) {
	var light float32
	for i := 0; i < len(pixels); i += 3 {
		one := float32(max(0, int(pixels[i])-2)) // what JPEG adds around it
		light, x, y = light+one, x+one*(float32(i/3%width)+0.5), y+one*(float32(i/3/width)+0.5)
	}
	return x / light, y / light
}

// libjpeg rounds up, so a picture whose sides are no multiples is drawn with more than itself.
func TestWhatIsFoundInAPictureDecodedSmallerLiesWhereItLiesInTheWholeOne(t *testing.T) {
	for orientation := byte(1); orientation <= 8; orientation++ {
		body := marked(t, 1275, 957, 1200, 880, orientation)
		whole := upright(t, body, 1)
		wantX, wantY := middle(whole.Pixels, whole.Width)
		for _, reduce := range []int{2, 4, 8} {
			_, header, err := gateway.Inspect(body, "image/jpeg", limits)
			if err != nil {
				t.Fatal(err)
			}
			box := geometry.Fit(whole.Width, whole.Height, 160, 120)
			box.Beyond = header.Beyond(reduce)
			slot := make([]byte, 3*160*120)
			if err := preprocess.Letterbox(upright(t, body, reduce), slot, box); err != nil {
				t.Fatal(err)
			}
			got := box.UndoPoint(middle(slot, 160))
			if math.Abs(float64(got.X-wantX)) > 0.5 || math.Abs(float64(got.Y-wantY)) > 0.5 {
				t.Errorf("orientation %d at 1/%d: at %v, want %v,%v", orientation, reduce, got, wantX, wantY)
			}
		}
	}
}

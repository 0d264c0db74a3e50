// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/v4l2"
	"visavis/capture/internal/waiting"
)

// blue is one colour in each form that a camera sends it in; yuv is BT.601 with limited range, as cameras use it.
var blue = struct{ b, g, r, y, u, v byte }{b: 255, g: 0, r: 0, y: 41, u: 240, v: 110}

// filled repeats pattern to one line of stride bytes, whose end from `used` on is padding.
func filled(pattern []byte, used, stride, lines int) []byte {
	line := append(bytes.Repeat(pattern, used/len(pattern)), bytes.Repeat([]byte{0xee}, stride-used)...)
	return bytes.Repeat(line, lines)
}

func blueJPEG(t testing.TB, width, height int) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for n := range width * height {
		picture.Set(n%width, n/width, color.RGBA{B: 255, A: 255})
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func emptyPicture(t testing.TB, width, height int) *frame.Picture {
	t.Helper()
	pool := frame.NewPool(1)
	t.Cleanup(pool.Close)
	picture, _ := pool.Get()
	if err := picture.SetSize(width, height); err != nil {
		t.Fatal(err)
	}
	return picture
}

func TestEveryFormatOfACameraBecomesBGR(t *testing.T) {
	const width, height, padding = 32, 16, 8
	cases := map[v4l2.FourCC]struct {
		shot        []byte
		strideBytes int
	}{
		v4l2.MJPG: {blueJPEG(t, width, height), 0},
		v4l2.JPEG: {append(blueJPEG(t, width, height), make([]byte, 100)...), 0},
		v4l2.YUYV: {filled([]byte{blue.y, blue.u, blue.y, blue.v}, 2*width, 2*width+padding, height), 2*width + padding},
		v4l2.UYVY: {filled([]byte{blue.u, blue.y, blue.v, blue.y}, 2*width, 2*width+padding, height), 2*width + padding},
		v4l2.NV12: {append(filled([]byte{blue.y}, width, width+padding, height), filled([]byte{blue.u, blue.v}, width, width+padding, height/2)...), width + padding},
		v4l2.BGR3: {filled([]byte{blue.b, blue.g, blue.r}, 3*width, 3*width+3*padding, height), 3*width + 3*padding},
	}
	if len(cases) != len(unpackers()) {
		t.Fatalf("%d formats are tested, %d exist", len(cases), len(unpackers()))
	}
	for pixels, c := range cases {
		picture := emptyPicture(t, width, height)
		format := v4l2.Format{Width: width, Height: height, Pixels: pixels, StrideBytes: c.strideBytes}
		if err := unpackers()[pixels](c.shot, format, picture); err != nil {
			t.Errorf("%v: %v", pixels, err)
			continue
		}
		if at := firstOther(picture.Pixels); at >= 0 {
			t.Errorf("%v: pixel %d is %v: not blue", pixels, at, picture.Pixels[3*at:3*at+3])
		}
	}
}

// A line may end in padding of any length: a driver that rounds 3 times 720 bytes up gives 2176.
func TestALinesPaddingNeedNotBeWholePixels(t *testing.T) {
	const width, height, padding = 720, 4, 16
	for pixels, pattern := range map[v4l2.FourCC][]byte{
		v4l2.BGR3: {blue.b, blue.g, blue.r}, v4l2.YUYV: {blue.y, blue.u, blue.y, blue.v}, v4l2.UYVY: {blue.u, blue.y, blue.v, blue.y},
	} {
		lineBytes := width * len(pattern)
		if pixels != v4l2.BGR3 {
			lineBytes /= 2
		}
		for _, stride := range []int{lineBytes + padding, lineBytes + padding + 1} {
			picture := emptyPicture(t, width, height)
			format := v4l2.Format{Width: width, Height: height, Pixels: pixels, StrideBytes: stride}
			if err := unpackers()[pixels](filled(pattern, lineBytes, stride, height), format, picture); err != nil {
				t.Errorf("%v with %d bytes a line: %v", pixels, stride, err)
			}
			if at := firstOther(picture.Pixels); at >= 0 {
				t.Errorf("%v with %d bytes a line: pixel %d is not blue", pixels, stride, at)
			}
		}
	}
}

// firstOther is the first pixel that is not blue, -1 if all are.
func firstOther(pixels []byte) int {
	for n := 0; n < len(pixels); n += 3 {
		if b, g, r := pixels[n], pixels[n+1], pixels[n+2]; b < 250 || g > 5 || r > 5 {
			return n / 3
		}
	}
	return -1
}

// shaken gives 100 pictures a second, of which the cable damages some, which the driver says or not. Like the kernel's cameras it gives what is there after the limit too.
type shaken struct {
	inKernel
	damages func(n int) bool
	told    bool
	given   int
}

func (c *shaken) Next(ctx context.Context, _ time.Duration) (v4l2.Shot, error) {
	time.Sleep(10 * time.Millisecond)
	c.given++
	shot := v4l2.Shot{Bytes: c.shot, Sequence: uint32(c.given - 1), TakenNs: frame.MonotonicNs()}
	if c.damages(c.given) {
		if c.told {
			return v4l2.Shot{}, v4l2.ErrDamaged
		}
		shot.Bytes = shot.Bytes[:len(shot.Bytes)/2]
	}
	return shot, ctx.Err()
}

func TestADamagedPictureLeavesTheNextOneDue(t *testing.T) {
	whole := inKernel{shot: blueJPEG(t, 32, 16)}
	for name, c := range map[string]struct {
		most    float64
		damages func(n int) bool
		last    uint64 // the picture that the last Grab gives, 0 where the camera has stalled
		told    bool
		after   bool // the next one is whole too
		why     string
	}{
		"one is damaged":                  {most: 1, damages: func(n int) bool { return n == 1 }, last: 2},
		"one is damaged, says the driver": {most: 1, damages: func(n int) bool { return n == 1 }, last: 2, told: true},
		"one between two that are due":    {most: 5, damages: func(n int) bool { return n == 3 }, told: true, after: true},
		"all from the second are damaged": {most: 5, damages: func(n int) bool { return n > 1 }, why: "cut off"},
		"all are so, says the driver":     {most: 5, damages: func(n int) bool { return n > 1 }, told: true, why: "try another cable"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), waiting.Most)
			defer cancel()
			camera := newDirect(Settings{MostFPS: c.most, StallLimit: 50 * time.Millisecond}, &shaken{inKernel: whole, damages: c.damages, told: c.told})
			picture := emptyPicture(t, 32, 16)
			err := camera.Grab(ctx, picture)
			if c.after {
				if err := camera.Grab(ctx, picture); err != nil {
					t.Errorf("the next one: %v", err)
				}
				return
			}
			if c.last == 0 && err == nil {
				waiting.Until(t, "it says what its pictures are", func() bool { // one that comes late has stalled before that
					err = camera.Grab(ctx, picture)
					return !errors.Is(err, ErrStalled) || strings.Contains(err.Error(), c.why)
				})
			}
			if c.last > 0 && (err != nil || picture.DriverSeq != c.last) {
				t.Errorf("picture %d, %v; want %d", picture.DriverSeq, err, c.last)
			}
			if c.last == 0 && (!errors.Is(err, ErrStalled) || !strings.Contains(err.Error(), c.why)) {
				t.Errorf("%v, want that it stalled, and: %s", err, c.why)
			}
		})
	}
}

// Drivers pad, some cameras say twice that a picture ends, and in memory of before lies the rest of a larger picture.
func TestTheJPEGIsKeptWithoutWhatLiesBehind(t *testing.T) {
	sent := blueJPEG(t, 32, 16)
	for name, behind := range map[string][]byte{"padding": make([]byte, 777), "a second end": {0xff, 0xd9}, "another picture": sent[20:]} {
		picture := emptyPicture(t, 32, 16)
		if err := unpackJPEG(append(bytes.Clone(sent), behind...), v4l2.Format{Width: 32, Height: 16}, picture); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(picture.JPEG, sent) {
			t.Errorf("%s: %d bytes are kept of the %d that were sent", name, len(picture.JPEG), len(sent))
		}
	}
}

// Browsers know no tables that are not there.
func TestTheJPEGIsKeptWithTablesThatTheCameraLeftOut(t *testing.T) {
	whole := blueJPEG(t, 32, 16)
	tables, scan := bytes.Index(whole, []byte{0xff, 0xc4}), bytes.Index(whole, []byte{0xff, 0xda})
	picture := emptyPicture(t, 32, 16)
	if err := unpackJPEG(append(bytes.Clone(whole[:tables]), whole[scan:]...), v4l2.Format{Width: 32, Height: 16}, picture); err != nil {
		t.Fatal(err)
	}
	if shown, err := jpeg.Decode(bytes.NewReader(picture.JPEG)); err != nil || shown.Bounds() != image.Rect(0, 0, 32, 16) {
		t.Errorf("%d bytes for viewers: %v", len(picture.JPEG), err)
	}
}

func TestTheResolutionMayChangeWithoutAWord(t *testing.T) {
	picture := emptyPicture(t, 32, 16)
	for _, side := range []int{16, 32, 8} {
		if err := unpackJPEG(blueJPEG(t, side, side), v4l2.Format{Width: 32, Height: 16}, picture); err != nil {
			t.Fatal(err)
		}
		if picture.Width != side || picture.Height != side || len(picture.Pixels) != 3*side*side || picture.Pixels[0] < 250 {
			t.Fatalf("%dx%d pixels in %d bytes, sent were %dx%d", picture.Width, picture.Height, len(picture.Pixels), side, side)
		}
	}
}

// A camera gives thirty a second, and garbage of each would be collected all the time.
func TestAPictureIsUnpackedWithLittleGarbage(t *testing.T) {
	const pictures, most = 100, 1 << 10
	shot, picture := blueJPEG(t, 32, 16), emptyPicture(t, 32, 16)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range pictures {
		if err := unpackJPEG(shot, v4l2.Format{Width: 32, Height: 16}, picture); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / pictures; each > most {
		t.Errorf("%d bytes of garbage for each picture, want up to %d", each, most)
	}
}

func TestDamagedPicturesAreRefused(t *testing.T) {
	whole, tall := blueJPEG(t, 32, 16), blueJPEG(t, 32, 64)
	scan := bytes.Index(tall, []byte{0xff, 0xda})
	for words, shot := range map[string][]byte{
		"cut off":          whole[:len(whole)-2],
		"premature end":    append(bytes.Clone(tall[:(scan+len(tall))/2]), 0xff, 0xd9),
		"damaged JPEG":     append([]byte("no picture"), 0xff, 0xd9),
		"JPEG of 1600x900": blueJPEG(t, 1600, 900),
		// Its scans are all of the first of four components: Go reads the header alone.
		"too many scans": inScans(32, 16, 4, 101),
		// A header that Go reads and libjpeg does not.
		"Invalid component": []byte("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x10\x00\x20\x01\x01\x11\x00\xff\xda\x00\x08\x01\x07\x00\x00\x3f\x00\xff\xd9"),
	} {
		err := unpackJPEG(shot, v4l2.Format{Width: 32, Height: 16}, emptyPicture(t, 32, 16))
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q in it", err, words)
		}
	}
	format := v4l2.Format{Width: 32, Height: 16, StrideBytes: 64}
	if err := unpackers()[v4l2.YUYV](make([]byte, 64*16-1), format, emptyPicture(t, 32, 16)); err == nil {
		t.Error("a picture that is one byte short is accepted")
	}
}

// inScans is a progressive JPEG of grey blocks, of so many scans.
func inScans(width, height, components byte, n int) []byte {
	body := append([]byte("\xff\xd8\xff\xdb\x00\x43\x00"), bytes.Repeat([]byte{1}, 64)...)
	body = append(body, 0xff, 0xc2, 0, 8+3*components, 8, 0, height, 0, width, components)
	for i := range components {
		body = append(body, 1+i, 0x11, 0)
	}
	for _, table := range []string{"\x00", "\x10"} {
		body = append(body, "\xff\xc4\x00\x14"+table+"\x01"+strings.Repeat("\x00", 16)...)
	}
	body = append(body, "\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00\x00"...)
	body = append(body, strings.Repeat("\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00\x00", n-1)...)
	return append(body, 0xff, 0xd9)
}

// What a camera sends is not to be trusted: a USB stick can call itself a camera.
func FuzzUnpackJPEG(f *testing.F) {
	const tables = 420 // bytes of them, where they are added
	whole := blueJPEG(f, 32, 16)
	for _, seed := range [][]byte{whole, whole[:40], whole[2:], {0xff, 0xd8, 0xff, 0xd9}, {}} {
		f.Add(seed)
	}
	picture := emptyPicture(f, 32, 16)
	f.Fuzz(func(t *testing.T, shot []byte) {
		if err := unpackJPEG(shot, v4l2.Format{Width: 32, Height: 16}, picture); err == nil && len(picture.JPEG) > len(shot)+tables {
			t.Fatal("the kept JPEG is longer than what came")
		}
		if picture.Width*picture.Height > grownMost*32*16 {
			t.Fatalf("a picture of %dx%d pixels from a camera of 32x16", picture.Width, picture.Height)
		}
	})
}

func TestWhoCannotOpenACameraIsToldWhatIsInTheWay(t *testing.T) {
	for errno, words := range map[syscall.Errno]string{syscall.EACCES: "group video", syscall.EPERM: "DeviceAllow=char-video4linux",
		syscall.ENOSPC: "the USB bus has no room"} {
		if said := withRemedy("v4l2:bad", errno).Error(); !strings.Contains(said, words) {
			t.Errorf("%v: %q does not say %q", errno, said, words)
		}
	}
}

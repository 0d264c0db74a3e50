// SPDX-License-Identifier: Apache-2.0

package preprocess

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/libjpeg"
)

// inFour is a JPEG of 8x8 pixels in cyan, magenta, yellow and black, each of one value; its tables of Huffman's code are the usual ones.
func inFour(cyan, magenta, yellow, black int) []byte {
	var out bytes.Buffer
	out.WriteString("\xff\xd8\xff\xdb\x00\x43\x00" + string(bytes.Repeat([]byte{1}, 64)))
	out.WriteString("\xff\xc0\x00\x14\x08\x00\x08\x00\x08\x04\x01\x11\x00\x02\x11\x00\x03\x11\x00\x04\x11\x00")
	out.WriteString("\xff\xda\x00\x0e\x04\x01\x00\x02\x00\x03\x00\x04\x00\x00\x3f\x00")
	var coded strings.Builder
	for _, value := range []int{cyan, magenta, yellow, black} {
		coded.WriteString(mean(8*(value-128)) + "1010") // the block ends
	}
	coded.WriteString("1111111")
	for all := coded.String(); len(all) >= 8; all = all[8:] {
		one, _ := strconv.ParseUint(all[:8], 2, 8)
		out.WriteByte(byte(one))
		if one == 0xff {
			out.WriteByte(0)
		}
	}
	out.WriteString("\xff\xd9")
	return out.Bytes()
}

// mean is the code of a block's mean: how many bits it has, and these.
func mean(value int) string {
	lengths := []string{"00", "010", "011", "100", "101", "110", "1110", "11110", "111110", "1111110", "11111110"}
	length := bits.Len(uint(max(value, -value)))
	if length == 0 {
		return lengths[0]
	}
	if value < 0 {
		value += 1<<length - 1
	}
	return lengths[length] + fmt.Sprintf("%0*b", length, value)
}

func decoded(t *testing.T, body []byte, reduce, width, height int) (*frame.Picture, error) {
	t.Helper()
	pool := frame.NewPool(1)
	picture, _ := pool.Get()
	t.Cleanup(func() { picture.Release(); pool.Close() })
	if err := picture.SetSize(width, height); err != nil {
		t.Fatal(err)
	}
	return picture, Decode(body, reduce, picture)
}

func TestAPictureInFourColoursIsDecoded(t *testing.T) {
	picture, err := decoded(t, inFour(128, 128, 128, 128), 1, 8, 8)
	if err != nil {
		t.Fatal(err)
	}
	// Half of white, of which black leaves half, as OpenCV rounds it.
	if want := bytes.Repeat([]byte{65}, 8*8*3); !bytes.Equal(picture.Pixels, want) {
		t.Errorf("the pixels are %v..., want %v", picture.Pixels[:3], want[:3])
	}
	if _, err := decoded(t, inFour(128, 128, 128, 128), 1, 8, 16); err == nil {
		t.Error("another size is accepted")
	}
}

func TestWhatIsNoPictureIsAnError(t *testing.T) {
	for name, body := range map[string][]byte{"text": []byte("no picture"), "the begin of a JPEG": inFour(1, 2, 3, 4)[:30], "PNG's first bytes": []byte("\x89PNG\r\n\x1a\n")} {
		if _, err := decoded(t, body, 1, 8, 8); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// scene has edges, colours and noise, and no symmetry.
func scene(t testing.TB, width, height int) gocv.Mat {
	t.Helper()
	dice := rand.New(rand.NewPCG(1, 2))
	pixels := make([]byte, 0, width*height*3)
	for y := range height {
		for x := range width {
			pixels = append(pixels, byte(255*x/width), byte(255*y/height), byte((x/9+y/7)%2*200+dice.IntN(40)))
		}
	}
	mat, err := gocv.NewMatFromBytes(height, width, gocv.MatTypeCV8UC3, pixels)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mat.Close() })
	return mat
}

func encoded(t testing.TB, scene gocv.Mat, option, value int) []byte {
	t.Helper()
	out, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, scene, []int{option, value})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	return bytes.Clone(out.GetBytes())
}

func grey(t *testing.T, width, height int) []byte {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, width, height))
	for n := range picture.Pix {
		picture.Set(n%width, n/width, color.Gray{Y: byte(n * 7)})
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// withoutTables leaves out the tables of Huffman's code, as cameras do that send the usual ones.
func withoutTables(t *testing.T, body []byte) []byte {
	t.Helper()
	for {
		at := bytes.Index(body, []byte{0xFF, 0xC4})
		if at < 0 {
			return body
		}
		end := at + 2 + int(body[at+2])<<8 + int(body[at+3])
		body = append(bytes.Clone(body[:at]), body[end:]...)
	}
}

// Each kind of JPEG becomes what OpenCV makes of it, to the last bit and at each scale.
func TestJPEGsBecomeWhatOpenCVMakesOfThem(t *testing.T) {
	const width, height = 101, 67
	colour := encoded(t, scene(t, width, height), gocv.IMWriteJpegQuality, 90)
	progressive := encoded(t, scene(t, width, height), gocv.IMWriteJpegProgressive, 1)
	kinds := map[string][]byte{"colour": colour, "grey": grey(t, width, height), "progressive": progressive, "no tables": withoutTables(t, colour),
		"in four": inFour(168, 8, 228, 198), "in four, without ink": inFour(255, 255, 255, 255)}
	scales := map[int]gocv.IMReadFlag{
		1: gocv.IMReadColor, 2: gocv.IMReadReducedColor2, 4: gocv.IMReadReducedColor4, 8: gocv.IMReadReducedColor8,
	}
	for kind, body := range kinds {
		for reduce, flag := range scales {
			want, err := gocv.IMDecode(body, flag)
			if err != nil || want.Empty() {
				t.Fatalf("%s at 1/%d: OpenCV says %v", kind, reduce, err)
			}
			picture, err := decoded(t, body, reduce, want.Cols(), want.Rows())
			if err != nil || !bytes.Equal(picture.Pixels, want.ToBytes()) {
				t.Errorf("%s at 1/%d: %dx%d is not what OpenCV makes of it: %v", kind, reduce, want.Cols(), want.Rows(), err)
			}
			_ = want.Close()
		}
	}
}

// How long a picture takes; OpenCV beside it.
//
//	go test -bench Decode ./internal/preprocess
func BenchmarkDecode(b *testing.B) {
	for name, size := range map[string][2]int{"VGA": {640, 480}, "1080p": {1920, 1080}} {
		body := encoded(b, scene(b, size[0], size[1]), gocv.IMWriteJpegQuality, 90)
		pixels := make([]byte, size[0]*size[1]*3)
		b.Run(name+"/libjpeg", func(b *testing.B) {
			for b.Loop() {
				if err := libjpeg.Decode(body, 1, pixels, size[0], size[1]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/OpenCV", func(b *testing.B) {
			mat, err := gocv.NewMatFromBytes(size[1], size[0], gocv.MatTypeCV8UC3, pixels)
			if err != nil {
				b.Fatal(err)
			}
			defer mat.Close()
			for b.Loop() {
				if err := gocv.IMDecodeIntoMat(body, gocv.IMReadColor, &mat); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package decode_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/gateway/decode"
)

const (
	wide, high = 1536, 1024 // a byte of each pixel is 1.5 MiB
	// besideBytes is what a decoder takes whatever the picture is: tables, and a few lines.
	besideBytes = 1 << 20
)

// flatPNG is a PNG of so many bits a channel and PNG's number for the channels. Every sample is the same, whatever it is for.
func flatPNG(t testing.TB, width, height int, bits, colours, channels, interlaced, sample byte) []byte {
	t.Helper()
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(width)), uint32(height))
	line := append([]byte{0}, bytes.Repeat([]byte{sample}, width*int(channels)*int(bits)/8)...)
	var packed bytes.Buffer
	to := zlib.NewWriter(&packed)
	for range height * int(1+interlaced) { // seven passes are shorter than that, and what is too much is left
		if _, err := to.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	out := []byte("\x89PNG\r\n\x1a\n")
	for _, one := range []struct {
		kind    string
		content []byte
	}{{"IHDR", append(header, bits, colours, 0, 0, interlaced)}, {"IDAT", packed.Bytes()}, {"IEND", nil}} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(one.content)))
		begin := len(out)
		out = append(append(out, one.kind...), one.content...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[begin:]))
	}
	return out
}

// inFour is a JPEG in cyan, magenta, yellow and black, half of each. Marker is that of its frame header.
func inFour(width, height int, marker byte) []byte {
	const baseline = 0xC0
	blocks := (width + 7) / 8 * ((height + 7) / 8)
	out := append([]byte("\xff\xd8\xff\xdb\x00\x43\x00"), bytes.Repeat([]byte{1}, 64)...)
	out = append(out, 0xff, marker, 0, 20, 8, byte(height>>8), byte(height), byte(width>>8), byte(width), 4)
	for component := range byte(4) {
		out = append(out, 1+component, 0x11, 0)
	}
	begin, each := "\xff\xda\x00\x0e\x04\x01\x00\x02\x00\x03\x00\x04\x00\x00", []byte{0b00101000, 0b10100010, 0b10001010}
	if marker == baseline { // the usual tables: four times the mean as before, and the end
		out = append(append(out, begin...), 0x3f, 0)
	} else { // a table that knows one thing, the mean as before; the scan has nothing but means
		out = append(append(append(out, "\xff\xc4\x00\x14\x00\x01"...), make([]byte, 16)...), begin...)
		out, each = append(out, 0, 0), []byte{0}
	}
	return append(append(out, bytes.Repeat(each, blocks)...), 0xff, 0xd9)
}

// lossless is the quality from which on a WebP is so.
const lossless = 101

// asWebP encodes colours that run, with an alpha channel or without. What alpha holds makes libwebp unpack it into four bytes each.
func asWebP(t testing.TB, kind gocv.MatType, channels, quality int) []byte {
	t.Helper()
	pixels := make([]byte, channels*wide*high)
	for n := range pixels {
		pixels[n] = byte(n/channels/(1+n%channels*100) + n%7)
		if n%channels == 3 {
			pixels[n] = byte(n / 4096)
		}
	}
	mat, err := gocv.NewMatFromBytes(high, wide, kind, pixels)
	if err != nil {
		t.Fatal(err)
	}
	defer mat.Close()
	out, err := gocv.IMEncodeWithParams(".webp", mat, []int{gocv.IMWriteWebpQuality, quality})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	return bytes.Clone(out.GetBytes())
}

// resident reads the memory of this process from the kernel's words.
func resident(t testing.TB, name string) (bytes int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), name+":")
	if _, err := fmt.Sscan(line, &bytes); err != nil {
		t.Fatal(err)
	}
	return bytes << 10
}

// spent is the memory that this process had at most while it did something, beyond what it had before.
func spent(t testing.TB, do func()) int {
	t.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // forget the most so far
		t.Fatal(err)
	}
	before := resident(t, "VmRSS")
	do()
	return resident(t, "VmHWM") - before
}

// alone runs the test in a process whose allocator keeps nothing for the next picture; true when this is it.
func alone(t *testing.T) bool {
	t.Helper()
	const setting = "MALLOC_MMAP_THRESHOLD_"
	if os.Getenv(setting) != "" {
		return true
	}
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), setting+"=65536")
	said, err := again.CombinedOutput()
	t.Logf("%s", said)
	if err != nil {
		t.Error(err)
	}
	return false
}

// What the decoder takes is what is reserved, however many channels of however many bits the file has. Alpha is left out.
func TestDecodingTakesTheMemoryThatIsReserved(t *testing.T) {
	if !alone(t) {
		return
	}
	const grey, any = 65, -1
	for name, c := range map[string]struct {
		contentType string
		body        []byte
		first       int // of the bytes that come out
	}{
		"grey and alpha":            {"image/png", flatPNG(t, wide, high, 8, 4, 2, 0, 200), 200},
		"grey and alpha, 16 bits":   {"image/png", flatPNG(t, wide, high, 16, 4, 2, 0, 200), 200},
		"RGBA":                      {"image/png", flatPNG(t, wide, high, 8, 6, 4, 0, 200), 200},
		"RGBA, 16 bits":             {"image/png", flatPNG(t, wide, high, 16, 6, 4, 0, 200), 200},
		"RGBA, 16 bits, in passes":  {"image/png", flatPNG(t, wide, high, 16, 6, 4, 1, 0), 0},
		"CMYK":                      {"image/jpeg", inFour(wide, high, 0xC0), grey},
		"CMYK, progressive":         {"image/jpeg", inFour(wide, high, 0xC2), grey},
		"WebP":                      {"image/webp", asWebP(t, gocv.MatTypeCV8UC3, 3, 80), any},
		"WebP with alpha":           {"image/webp", asWebP(t, gocv.MatTypeCV8UC4, 4, 80), any},
		"WebP, lossless":            {"image/webp", asWebP(t, gocv.MatTypeCV8UC3, 3, lossless), any},
		"WebP with alpha, lossless": {"image/webp", asWebP(t, gocv.MatTypeCV8UC4, 4, lossless), any},
	} {
		kept, header, err := gateway.Inspect(c.body, c.contentType, limits)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		took := spent(t, func() {
			pool := frame.NewPool(1)
			defer pool.Close()
			into, _ := pool.Get()
			defer into.Release()
			if err := decode.Upright(kept, header, 1, into); err != nil || c.first != any && int(into.Pixels[0]) != c.first {
				t.Errorf("%s: %v, the first byte is %d, want %d", name, err, into.Pixels[0], c.first)
			}
		})
		const pixels = wide * high
		said := fmt.Sprintf("%s, %d bytes: decoding took %.2f bytes a pixel, %.2f are reserved", name, len(c.body), float64(took)/pixels, float64(header.Cost(1))/pixels)
		if took > header.Cost(1)+besideBytes {
			t.Error(said)
		} else {
			t.Log(said)
		}
	}
}

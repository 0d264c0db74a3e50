// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/gateway/decode"
	"visavis/capture/internal/waiting"
)

// gatewayDoor is the door of the real gateway.
type gatewayDoor struct{ feed *gateway.Feed }

func (d gatewayDoor) Next(ctx context.Context) (Pushed, error) {
	next, err := d.feed.Next(ctx)
	if err != nil {
		return nil, err
	}
	return next, nil
}

// openGateway makes a push: camera of 320x240 pixels, and the address at which it is fed.
func openGateway(t *testing.T) (settings Settings, url string) {
	t.Helper()
	g, err := gateway.New(gateway.Settings{
		InputWidth: 32, InputHeight: 32, Workers: 1, Credit: 1, Limits: gateway.Limits{Bytes: 1 << 20, DecodeBytes: 48 << 20},
		Tools: gateway.Tools{Decode: decode.Upright},
	}, dispatch.New(dispatch.Options{Outcome: func(dispatch.Outcome) {}}))
	if err != nil {
		t.Fatal(err)
	}
	feed := g.AddFeed(gateway.FeedSettings{Camera: "door", Pixels: 320 * 240, Stall: time.Second})
	mux := http.NewServeMux()
	mux.HandleFunc("/{id}/push", g.ServePush)
	server := httptest.NewServer(mux)
	t.Cleanup(func() { feed.Close(); server.Close(); g.Close(); http.DefaultClient.CloseIdleConnections() })
	return Settings{URI: "push:", Width: 320, Height: 240, FPS: 200, StallLimit: waiting.Most, Feed: gatewayDoor{feed}}, server.URL + "/door/push"
}

// shaded is a JPEG of one colour, another one for each n.
func shaded(t *testing.T, width, height, n int) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		picture.Set(i%width, i/width, color.RGBA{R: uint8(7 * n), G: uint8(3 * n), B: 90, A: 255})
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// pushing sends pictures, each after the answer to the one before, until the test ends. It returns the frames that they became.
func pushing(t *testing.T, url string, picture func(n int) []byte) <-chan uint64 {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	socket, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	frames := make(chan uint64, 100)
	t.Cleanup(func() {
		cancel()
		_ = socket.CloseNow()
		for range frames { // until the sender has ended
		}
	})
	go func() {
		defer close(frames)
		for n := 0; socket.Write(ctx, websocket.MessageBinary, picture(n)) == nil; n++ {
			var answer struct{ Frame uint64 }
			_, text, err := socket.Read(ctx)
			if err != nil || json.Unmarshal(text, &answer) != nil {
				return
			}
			if answer.Frame > 0 {
				frames <- answer.Frame
			}
		}
	}()
	return frames
}

func TestAClientOfAPushCameraIsToldTheNumberOfItsFrame(t *testing.T) {
	settings, url := openGateway(t)
	frames := pushing(t, url, func(n int) []byte { return shaded(t, 320, 240, n) })
	opened, picture := openedWith(t, settings)
	for number := uint64(40); number < 45; number++ {
		if err := opened.Grab(context.Background(), picture); err != nil {
			t.Fatal(err)
		}
		opened.(Numbered).Numbered(number)
		if told := <-frames; told != number {
			t.Fatalf("frame %d is told as %d", number, told)
		}
	}
}

func openedWith(t *testing.T, settings Settings) (Source, *frame.Picture) {
	t.Helper()
	opened, err := Open(context.Background(), settings)
	if err != nil {
		t.Fatal(err)
	}
	pool := frame.NewPool(1)
	picture, _ := pool.Get()
	t.Cleanup(func() {
		picture.Release()
		pool.Close()
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened, picture
}

func TestAPushCameraSkipsWhatIsNotWantedAndItsClientIsTold(t *testing.T) {
	settings, url := openGateway(t)
	settings.MostFPS = 20
	frames := pushing(t, url, func(n int) []byte { return shaded(t, 32, 24, n) })
	opened, picture := openedWith(t, settings)
	var last int64
	for number := uint64(1); number <= 3; number++ {
		if err := opened.Grab(context.Background(), picture); err != nil {
			t.Fatal(err)
		}
		if gap := picture.CapturedNs - last; gap < int64(time.Second/40) {
			t.Fatalf("frame %d comes %d ns after the one before", number, gap)
		}
		last = picture.CapturedNs
		opened.(Numbered).Numbered(number)
		if told := <-frames; told != number {
			t.Fatalf("frame %d is told as %d", number, told)
		}
	}
}

func TestAPushCameraIsLostWithoutPicturesAndSaysWhereToSendThem(t *testing.T) {
	settings, url := openGateway(t)
	settings.StallLimit, settings.MostFPS = 50*time.Millisecond, 20
	opened, picture := openedWith(t, settings)
	if err := opened.Grab(context.Background(), picture); !errors.Is(err, errUnfed) {
		t.Fatalf("nobody feeds it: %v", err)
	}
	pushing(t, url, func(int) []byte { return []byte("no picture") })
	var err error
	waiting.Until(t, "it is told that these are no pictures", func() bool {
		err = opened.Grab(context.Background(), picture)
		return strings.Contains(err.Error(), "no JPEG")
	})
	if !errors.Is(err, errUnfed) {
		t.Errorf("fed with no pictures: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := opened.Grab(ctx, picture); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}

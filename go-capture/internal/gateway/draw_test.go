// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bytes"
	"context"
	"image"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/waiting"
)

// site serves single pictures and the push: camera "door" of a device that is stuck.
func (s *stuck) site() (url string, feed *gateway.Feed) {
	s.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/detect", s.ServeDetect)
	mux.HandleFunc("/{id}/push", s.ServePush)
	server := httptest.NewServer(mux)
	s.t.Cleanup(server.Close)
	return server.URL, s.AddFeed(gateway.FeedSettings{Camera: "door", Pixels: 640 * 480, Stall: waiting.Most})
}

// wantBack sends a picture that is wanted back, and waits for it until the test ends.
func (s *stuck) wantBack(url string, picture []byte) {
	s.t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	ended := make(chan struct{})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/detect?anonymize=1", bytes.NewReader(picture))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "image/jpeg")
	go func() {
		defer close(ended)
		if answer, err := http.DefaultClient.Do(request); err == nil {
			_ = answer.Body.Close()
		}
	}()
	s.t.Cleanup(func() { leave(); <-ended })
}

// Decoded, this picture takes half of the memory for decoding, and with a copy to draw on nearly all of it.
func TestAPictureThatIsWantedBackHoldsNobodyUpWhileItsWorkerThinks(t *testing.T) {
	s := openStuck(t, unhurried)
	url, feed := s.site()
	s.wantBack(url, asJPEG(t, image.NewYCbCr(image.Rect(0, 0, 3840, 2160), image.YCbCrSubsampleRatio420)))
	s.holds(1)
	small := image.NewGray(image.Rect(0, 0, 640, 480))
	s.ask("10.0.0.2", encoded(asPNG(t, small)))
	s.holds(2)

	client, _, err := websocket.Dial(waiting.Context(t), strings.Replace(url, "http", "ws", 1)+"/door/push", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.CloseNow() }()
	if err := client.Write(waiting.Context(t), websocket.MessageBinary, asJPEG(t, small)); err != nil {
		t.Fatal(err)
	}
	pushed, err := feed.Next(waiting.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	pool := frame.NewPool(1)
	defer pool.Close()
	into, _ := pool.Get()
	defer into.Release()
	if err := pushed.Decode(waiting.Context(t), into); err != nil {
		t.Fatalf("a camera's picture: %v", err)
	}
	pushed.Skip()
}

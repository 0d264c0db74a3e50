// SPDX-License-Identifier: Apache-2.0

// Command rtspserve is a network camera for tests: it plays one H.264 file in a loop over RTSP, over TCP only.
//
// The file is what `ffmpeg -c:v libx264 -bf 0 -x264-params aud=1 -f h264` writes. It prints its address once it listens and
// ends when its standard input does, so that it never outlives a test.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
)

const clockHz = 90_000 // of H.264 over RTP

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "rtspserve:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:8554", "address:port")
	file := flag.String("file", "", "H.264 byte stream with access unit delimiters")
	fps := flag.Float64("fps", 30, "pictures a second")
	most := flag.Int("pictures", 0, "after so many it sends nothing more; 0: without end")
	c := &camera{ready: make(chan struct{})}
	flag.StringVar(&c.user, "user", "", "who may watch; empty: anybody")
	flag.StringVar(&c.password, "password", "", "of the user")
	encrypted := flag.Bool("tls", false, "rtsps:// with a certificate that nobody has signed, as cameras have them")
	flag.Parse()
	clip, err := readClip(*file)
	if err != nil {
		return err
	}
	server, scheme := &gortsplib.Server{Handler: c, RTSPAddress: *listen}, "rtsp"
	if *encrypted {
		scheme = "rtsps"
		if server.TLSConfig, err = ownCertificate(); err != nil {
			return err
		}
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer server.Close()
	if err := c.begin(server, clip, *fps, *most); err != nil {
		return err
	}
	fmt.Printf("%s://%s/live\n", scheme, *listen)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// camera answers clients.
type camera struct {
	user, password string
	stream         *gortsplib.ServerStream
	ready          chan struct{} // closed when stream is set: clients come as soon as the port is open
}

// begin makes the stream and plays the clip from now on, whether anybody watches or not.
func (c *camera) begin(server *gortsplib.Server, clip clip, fps float64, most int) error {
	video := &format.H264{PayloadTyp: 96, PacketizationMode: 1, SPS: clip.sps, PPS: clip.pps}
	media := &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{video}}
	c.stream = &gortsplib.ServerStream{Server: server, Desc: &description.Session{Medias: []*description.Media{media}}}
	if err := c.stream.Initialize(); err != nil {
		return err
	}
	close(c.ready)
	encoder, err := video.CreateEncoder()
	if err != nil {
		return err
	}
	send := func(number int) error {
		if most > 0 && number >= most {
			return nil
		}
		packets, err := encoder.Encode(clip.units[number%len(clip.units)])
		for _, packet := range packets {
			packet.Timestamp = uint32(float64(number) * clockHz / fps)
			if err := c.stream.WritePacketRTP(media, packet); err != nil {
				return err
			}
		}
		return err
	}
	go play(send, time.Duration(float64(time.Second)/fps))
	return nil
}

// play sends one picture at each tick until the process ends.
func play(send func(number int) error, interval time.Duration) {
	number := 0
	for range time.Tick(interval) {
		if err := send(number); err != nil {
			fmt.Fprintln(os.Stderr, "rtspserve: send:", err)
			os.Exit(1)
		}
		number++
	}
}

func (c *camera) admit(connection *gortsplib.ServerConn, request *base.Request) (*base.Response, *gortsplib.ServerStream, error) {
	<-c.ready
	if c.user != "" && !connection.VerifyCredentials(request, c.user, c.password) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

// OnDescribe implements gortsplib.ServerHandlerOnDescribe.
func (c *camera) OnDescribe(ask *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return c.admit(ask.Conn, ask.Request)
}

// OnSetup implements gortsplib.ServerHandlerOnSetup.
func (c *camera) OnSetup(ask *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return c.admit(ask.Conn, ask.Request)
}

// OnPlay implements gortsplib.ServerHandlerOnPlay.
func (c *camera) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

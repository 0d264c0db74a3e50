// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"visavis/capture/internal/openinference/wire"
)

// overheard keeps what is written to a connection.
type overheard struct {
	net.Conn
	mu   sync.Mutex
	said []byte
}

func (o *overheard) Write(more []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said = append(o.said, more...)
	return o.Conn.Write(more)
}

// spoken is what grpc's own client sends for one call.
func spoken(f *testing.F) []byte {
	f.Helper()
	b, line := open(f, func(*Settings) {}), &overheard{}
	dial := grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		line.Conn = raw
		return line, err
	})
	connection, err := grpc.NewClient("passthrough:///"+b.address, grpc.WithTransportCredentials(insecure.NewCredentials()), dial)
	if err != nil {
		f.Fatal(err)
	}
	err = ask(f, connection, "ServerLive", "", &wire.ServerLiveRequest{}, &wire.ServerLiveResponse{})
	if err := errors.Join(err, connection.Close()); err != nil {
		f.Fatal(err)
	}
	line.mu.Lock()
	defer line.mu.Unlock()
	return bytes.Clone(line.said)
}

// crumbs are DATA frames of a byte, the last so many of which end their call.
func crumbs(f *testing.F, open, ended int) []byte {
	f.Helper()
	var sent bytes.Buffer
	sent.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&sent, nil)
	for n := range open + ended {
		if err := framer.WriteData(1, n >= open, []byte{0}); err != nil {
			f.Fatal(err)
		}
	}
	return sent.Bytes()
}

// pieces is a connection from which bytes come in pieces of these sizes, over and over.
type pieces struct {
	net.Conn
	left  []byte
	sizes []byte // each one less; none = all at once
	reads int
}

func (p *pieces) Read(into []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	size := len(p.left)
	if len(p.sizes) > 0 {
		size = min(size, 1+int(p.sizes[p.reads%len(p.sizes)]))
	}
	p.reads++
	n := copy(into, p.left[:size])
	p.left = p.left[n:]
	return n, nil
}

// follow reads to the end what was sent, and returns why that ended: io.EOF, or errUnfair.
func follow(t *testing.T, sent, sizes []byte, credit int) error {
	t.Helper()
	f := &frames{Conn: &pieces{left: sent, sizes: sizes}, skip: len(http2.ClientPreface), credit: credit}
	var heard []byte
	into := make([]byte, len(sent)+1)
	for {
		n, err := f.Read(into)
		heard = append(heard, into[:n]...)
		if f.skip < 0 || f.skip >= 1<<24 || len(f.head) >= frameHead || cap(f.head) > 2*frameHead {
			t.Fatalf("%d bytes to skip, %d of a head in memory for %d", f.skip, len(f.head), cap(f.head))
		}
		if err == nil {
			continue
		}
		if !bytes.HasPrefix(sent, heard) || err == io.EOF && len(heard) != len(sent) {
			t.Fatalf("%v after %d of %d bytes", err, len(heard), len(sent))
		}
		if _, again := f.Read(into); again != err {
			t.Fatalf("%v, and then %v", err, again)
		}
		return err
	}
}

// judge is what the frames deserve, read by the library's own means.
func judge(sent []byte, credit int) error {
	left := bytes.NewReader(sent[min(len(http2.ClientPreface), len(sent)):])
	for {
		head, err := http2.ReadFrameHeader(left)
		if err != nil {
			return io.EOF
		}
		_, _ = left.Seek(int64(head.Length), io.SeekCurrent) // beyond the end is the end
		switch {
		case head.Type != http2.FrameData:
			continue
		case head.Flags.Has(http2.FlagDataEndStream):
			credit += fairFrame
		default:
			credit += int(head.Length) - fairFrame
		}
		if credit < 0 {
			return errUnfair
		}
		credit = min(credit, unfairMost)
	}
}

// FuzzFrames: whatever a stranger sends, how it is cut into reads changes nothing about whether the connection ends, and a head of a frame
// is all that is kept of it.
func FuzzFrames(f *testing.F) {
	client := spoken(f)
	preface := []byte(http2.ClientPreface)
	for _, sent := range [][]byte{
		client, client[:len(client)/2], client[:len(preface)+frameHead-1], preface[:5], nil, append(bytes.Clone(client), crumbs(f, 4, 0)[len(preface):]...),
		append(bytes.Clone(preface), "\xff\xff\xff\x00\x01\xff\xff\xff\xff"...), append(bytes.Clone(preface), "\x00\x00\x00\x00\x00\x00\x00\x00\x00"...),
		crumbs(f, 3, 0), crumbs(f, 3, 3), crumbs(f, 0, 3),
	} {
		for _, sizes := range [][]byte{nil, {0}, {6, 0, 255}} {
			f.Add(sent, sizes, uint16(2*fairFrame))
		}
	}
	f.Fuzz(func(t *testing.T, sent, sizes []byte, credit uint16) {
		want := judge(sent, int(credit))
		for _, cut := range [][]byte{nil, {0}, sizes} {
			if got := follow(t, sent, cut, int(credit)); got != want {
				t.Errorf("in pieces of %v: %v, want %v", cut, got, want)
			}
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/auth/authtest"
	"visavis/capture/internal/certificate"
	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/openinference"
	"visavis/capture/internal/openinference/wire"
	"visavis/capture/internal/waiting"
)

const (
	pictureMost = 1 << 18
	streamsMost = 4
)

// leastRoles is the table of rights as a person wrote it down; a call that is not here fails. A new one needs a thought.
var leastRoles = map[string]auth.Role{
	"ServerLive": auth.Public, "ServerReady": auth.Public, "ModelReady": auth.Viewer, "ServerMetadata": auth.Viewer,
	"ModelMetadata": auth.Viewer, "ModelInfer": auth.Operator, "ModelStreamInfer": auth.Operator,
}

// box is a device without workers.
type box struct {
	server     *Server
	gateway    *gateway.Gateway
	dispatcher *dispatch.Dispatcher
	address    string

	mu      sync.Mutex
	counted map[string]int // by route and code
}

func open(t testing.TB, change func(*Settings)) *box {
	t.Helper()
	return openWith(t, answerTimeout, change)
}

// openWith has so much patience with a client that takes no answer.
func openWith(t testing.TB, patience time.Duration, change func(*Settings)) *box {
	t.Helper()
	patientMs := int(waiting.Most.Milliseconds())
	dispatcher := dispatch.New(dispatch.Options{LeaseMs: patientMs, HelloMs: patientMs, Outcome: func(dispatch.Outcome) {}})
	g, err := gateway.New(gateway.Settings{Model: "centerface", Version: "1.2.3", InputWidth: 32, InputHeight: 32, Workers: 1, Credit: 1, Queue: 1,
		QueuePerClient: 1, Streams: streamsMost, Limits: gateway.Limits{Bytes: pictureMost, DecodeBytes: 48 << 20}}, dispatcher)
	if err != nil {
		t.Fatal(err)
	}
	b := &box{gateway: g, dispatcher: dispatcher, counted: map[string]int{}}
	settings := Settings{Listen: "127.0.0.1:0", PictureBytes: pictureMost, Gateway: g, Count: b.count}
	change(&settings)
	if b.server, err = New(settings); err != nil {
		t.Fatal(err)
	}
	b.server.patience, b.server.comingMost = patience, waiting.Most
	inner, err := net.Listen("tcp", settings.Listen)
	if err != nil {
		t.Fatal(err)
	}
	b.address = inner.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.server.Serve(ctx, settings.Proxies.Listener(inner)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		g.Close()
	})
	return b
}

func (b *box) count(route, code string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counted[strings.TrimPrefix(route, "/"+serviceName+"/")+" "+code]++
}

func (b *box) dial(t testing.TB, how credentials.TransportCredentials, more ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient(b.address, append(more, grpc.WithTransportCredentials(how))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// ask makes a call with a token, "" for none.
func ask(t testing.TB, connection *grpc.ClientConn, method, token string, asked, said proto.Message) error {
	t.Helper()
	ctx := waiting.Context(t)
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return connection.Invoke(ctx, "/"+serviceName+"/"+method, asked, said)
}

func TestADeviceTellsOverGRPCWhatItServes(t *testing.T) {
	b := open(t, func(*Settings) {})
	connection := b.dial(t, insecure.NewCredentials())
	var live wire.ServerLiveResponse
	if err := ask(t, connection, "ServerLive", "", &wire.ServerLiveRequest{}, &live); err != nil || !live.Live {
		t.Errorf("%v %v", &live, err)
	}
	var ready wire.ModelReadyResponse
	if err := ask(t, connection, "ModelReady", "", &wire.ModelReadyRequest{Name: "centerface"}, &ready); err != nil || ready.Ready {
		t.Errorf("without a worker: %v %v", &ready, err)
	}
	var model wire.ModelMetadataResponse
	if err := ask(t, connection, "ModelMetadata", "", &wire.ModelMetadataRequest{Name: "centerface", Version: "1"}, &model); err != nil ||
		model.Inputs[0].Name != "image" || model.Outputs[2].Shape[1] != 5 {
		t.Errorf("%v %v", &model, err)
	}
	for method, want := range map[string]codes.Code{"ModelReady": codes.NotFound, "ModelInfer": codes.Unavailable, "ModelConfig": codes.Unimplemented} {
		var said wire.ModelInferResponse
		if err := ask(t, connection, method, "", &wire.ModelReadyRequest{Name: "yunet"}, &said); status.Code(err) != want {
			t.Errorf("%s: %v, want %v", method, err, want)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range []string{"ServerLive OK", "ModelReady NotFound", "ModelInfer Unavailable", "other Unimplemented"} {
		if b.counted[one] != 1 {
			t.Errorf("%s is counted %d times: %v", one, b.counted[one], b.counted)
		}
	}
}

func TestEachCallIsRefusedToWhoeverMayNotMakeIt(t *testing.T) {
	file := auth.File{Path: filepath.Join(t.TempDir(), "credentials.toml")}
	tokens := map[string]string{"": "", "vis_aaaaaaaa_bbbb": ""}
	roles := map[string]auth.Role{"": auth.Public, "vis_aaaaaaaa_bbbb": auth.Public}
	for _, role := range []auth.Role{auth.Viewer, auth.Operator, auth.Admin} {
		token := authtest.Add(t, file, auth.Wanted{Name: role.String(), Role: role.String()})
		tokens[token], roles[token] = role.String(), role
	}
	gate, err := auth.Open(auth.Settings{File: file, SessionIdle: time.Hour, SessionMost: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, func(s *Settings) { s.Auth = gate })
	connection := b.dial(t, insecure.NewCredentials())
	names := map[string]auth.Role{"ModelConfig": auth.Viewer}
	for _, one := range b.server.methods {
		if names[one.name] = leastRoles[one.name]; one.least != leastRoles[one.name] {
			t.Errorf("%s needs %q; written down is %q", one.name, one.least, leastRoles[one.name])
		}
	}
	for name, least := range names {
		for token := range tokens {
			var said wire.ModelInferResponse
			got := status.Code(ask(t, connection, name, token, &wire.ModelReadyRequest{Name: "centerface"}, &said))
			want := codes.OK
			switch {
			case roles[token] == auth.Public && least != auth.Public:
				want = codes.Unauthenticated
			case roles[token] < least:
				want = codes.PermissionDenied
			}
			refused := got == codes.Unauthenticated || got == codes.PermissionDenied
			if refused != (want != codes.OK) || refused && got != want {
				t.Errorf("%s by %q: %v, want %v", name, tokens[token], got, want)
			}
		}
	}
}

func TestWhoeverTriesTooOftenIsToldWhenToComeAgain(t *testing.T) {
	file := auth.File{Path: filepath.Join(t.TempDir(), "credentials.toml")}
	token := authtest.Add(t, file, auth.Wanted{Name: "robot", Role: "operator"})
	gate, err := auth.Open(auth.Settings{File: file, SessionIdle: time.Hour, SessionMost: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, func(s *Settings) { s.Auth = gate })
	connection := b.dial(t, insecure.NewCredentials())
	for range 100 {
		var trailer metadata.MD
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token+"x")
		err := connection.Invoke(ctx, "/"+serviceName+"/ModelInfer", &wire.ModelInferRequest{}, &wire.ModelInferResponse{}, grpc.Trailer(&trailer))
		if status.Code(err) == codes.Unauthenticated {
			continue
		}
		seconds, unread := strconv.Atoi(strings.Join(trailer.Get("retry-after"), " "))
		if status.Code(err) != codes.ResourceExhausted || unread != nil || seconds < 1 {
			t.Errorf("%v, trailer %v", err, trailer)
		}
		return
	}
	t.Error("nothing is refused")
}

func TestItIsEncryptedAsThePageIs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "box.pem")
	kept, err := certificate.SelfMade(file, []string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, func(s *Settings) { s.TLS = kept.Config() })
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	var live wire.ServerLiveResponse
	if err := ask(t, b.dial(t, credentials.NewClientTLSFromCert(roots, "localhost")), "ServerLive", "", &wire.ServerLiveRequest{}, &live); err != nil || !live.Live {
		t.Errorf("%v %v", &live, err)
	}
	if err := ask(t, b.dial(t, insecure.NewCredentials()), "ServerLive", "", &wire.ServerLiveRequest{}, &live); status.Code(err) != codes.Unavailable {
		t.Errorf("not encrypted: %v", err)
	}
}

func TestAMessageThatIsTooLargeIsRefused(t *testing.T) {
	b := open(t, func(*Settings) {})
	large := &wire.ModelReadyRequest{Name: strings.Repeat("a", pictureMost+openinference.JSONMost)}
	var said wire.ModelReadyResponse
	if err := ask(t, b.dial(t, insecure.NewCredentials()), "ModelReady", "", large, &said); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
}

func TestOtherMachinesNeedALogin(t *testing.T) {
	for listen, fine := range map[string]bool{"127.0.0.1:0": true, "localhost:0": true, "[::1]:0": true, "0.0.0.0:8001": false, ":8001": false, "8001": false} {
		if _, err := New(Settings{Listen: listen}); (err == nil) != fine {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

// Each holds memory and a descriptor for five minutes without a word or a login.
func TestMoreConnectionsThanThereMayBeAreClosedAtOnce(t *testing.T) {
	b := open(t, func(s *Settings) { s.MaxConnections = 2 })
	greeted := func() bool {
		connection, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		_, _ = io.WriteString(connection, http2.ClientPreface) // whoever does not greet in time is cut off
		_ = http2.NewFramer(connection, nil).WriteSettings()
		n, _ := connection.Read(make([]byte, 9)) // HTTP/2's first frame, or the end
		return n > 0
	}
	for range 2 {
		if !greeted() {
			t.Fatal("the first two are not let in")
		}
	}
	if greeted() {
		t.Error("a third is let in")
	}
}

// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/clientnet"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/openinference"
	"visavis/capture/internal/problem"
)

// method is one call that is answered, with who may make it.
type method struct {
	name    string
	least   auth.Role
	answer  func(context.Context, *Server, grpc.ServerStream) error
	streams bool // many messages and answers in one call
}

func (s *Server) guarded(m method, stream grpc.ServerStream) error {
	if m.least == auth.Public {
		return m.answer(stream.Context(), s, stream)
	}
	if s.settings.Auth == nil {
		return m.answer(stream.Context(), s, stream)
	}
	who, err := s.identify(stream.Context())
	if err != nil {
		return err
	}
	if m.least == auth.Unset || who.Role < m.least {
		return status.Errorf(codes.PermissionDenied, "This needs the role %s; yours is %s.", m.least, who.Role)
	}
	ctx, release := s.settings.Auth.Hold(context.WithValue(stream.Context(), accountKey{}, who.Name), who)
	defer release()
	return m.answer(ctx, s, stream)
}

// identify finds who calls by the token in the call's metadata.
func (s *Server) identify(ctx context.Context) (auth.Identity, error) {
	given := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(given) != 1 {
		return auth.Identity{}, status.Error(codes.Unauthenticated, "This needs a token, as `authorization: Bearer` in the call's metadata; `visavis auth add` makes one.")
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return auth.Identity{}, auth.ErrUnknown
	}
	return s.settings.Auth.ByToken(ctx, s.remote(ctx), strings.TrimSpace(token))
}

// remote is the address and port that a call comes from.
func (s *Server) remote(ctx context.Context) string {
	from, known := peer.FromContext(ctx)
	if !known {
		return ""
	}
	if _, introduced := from.Addr.(clientnet.Introduced); introduced {
		return from.Addr.String()
	}
	return s.settings.Proxies.Remote(from.Addr.String(), metadata.ValueFromIncomingContext(ctx, "x-forwarded-for"))
}

// accountKey finds in a call's context whose token let it in.
type accountKey struct{}

// callerOf tells who calls; all whose address is not known share one queue.
func (s *Server) callerOf(ctx context.Context) gateway.Caller {
	var made gateway.Caller
	made.Account, _ = ctx.Value(accountKey{}).(string)
	if address, err := netip.ParseAddrPort(s.remote(ctx)); err == nil {
		made.Address = address.Addr().Unmap()
	}
	return made
}

// codeOf has gRPC's word for a refusal's status.
var codeOf = map[int]codes.Code{
	http.StatusBadRequest: codes.InvalidArgument, http.StatusRequestEntityTooLarge: codes.InvalidArgument,
	http.StatusUnsupportedMediaType: codes.InvalidArgument, http.StatusUnprocessableEntity: codes.InvalidArgument,
	http.StatusNotFound: codes.NotFound, http.StatusTooManyRequests: codes.ResourceExhausted, http.StatusServiceUnavailable: codes.Unavailable,
	http.StatusRequestTimeout: codes.DeadlineExceeded, problem.StatusClientGone: codes.Canceled,
}

// told is an error as the client gets it; when it should come again goes into the trailer.
func told(stream grpc.ServerStream, err error) error {
	if wait := waitS(err); wait > 0 {
		stream.SetTrailer(metadata.Pairs("retry-after", strconv.Itoa(wait)))
	}
	return asStatus(err)
}

// waitS is after how many seconds the client should come again, as Retry-After says over HTTP; 0 if that is not said.
func waitS(err error) int {
	var refused gateway.Refusal
	var throttled auth.Throttled
	switch {
	case errors.As(err, &refused):
		return int(math.Ceil(refused.RetryAfter.Seconds()))
	case errors.As(err, &throttled):
		return int(math.Ceil(throttled.Wait.Seconds()))
	case errors.Is(err, auth.ErrBusy):
		return 1
	}
	return 0
}

// asStatus has gRPC's code for an error.
func asStatus(err error) error {
	var refused gateway.Refusal
	var throttled auth.Throttled
	switch {
	case errors.As(err, &refused):
		return status.Error(refusedCode(refused), refused.Error())
	case errors.Is(err, openinference.ErrMalformed):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.As(err, &throttled):
		return status.Error(codes.ResourceExhausted, throttled.Error())
	case errors.Is(err, auth.ErrUnknown):
		return status.Error(codes.Unauthenticated, "The token is not known here, or no longer.")
	case errors.Is(err, auth.ErrBusy):
		return status.Error(codes.Unavailable, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "The call has been cancelled.")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "The call's own time is over.")
	}
	return err
}

func refusedCode(refused gateway.Refusal) codes.Code {
	if refused.IsLate() {
		return codes.DeadlineExceeded
	}
	if code, known := codeOf[refused.Status]; known {
		return code
	}
	return codes.Internal
}

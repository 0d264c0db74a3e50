// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"errors"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"visavis/capture/internal/gateway"
	"visavis/capture/internal/problem"
	"visavis/capture/internal/requestlog"
)

// serve answers a method to those who may call it, counts, and writes the call's line in the log.
func (s *Server) serve(m method) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		call := began(stream)
		err := s.guarded(m, stream)
		said := told(stream, err)
		s.settings.Count("/"+serviceName+"/"+m.name, status.Code(said).String())
		s.logged(stream, call, err, status.Code(said))
		return said
	}
}

// began names a call; its answer carries the id.
func began(stream grpc.ServerStream) requestlog.Answered {
	given, _ := metadata.FromIncomingContext(stream.Context())
	path, _ := grpc.MethodFromServerStream(stream)
	call := requestlog.Answered{
		Method: http.MethodPost, Path: path, ID: requestlog.ID(given.Get(problem.RequestIDHeader)), Traces: given.Get("traceparent"), Began: time.Now(),
	}
	_ = stream.SetHeader(metadata.Pairs(problem.RequestIDHeader, call.ID)) // fails only when the call has ended already
	return call
}

// logged writes the line of a call that ended with an error, or without one, and so with a code.
func (s *Server) logged(stream grpc.ServerStream, call requestlog.Answered, err error, code codes.Code) {
	call.Client, call.Status = s.remote(stream.Context()), code.String()
	call.IsRefusal = code != codes.OK
	call.IsFailure = stream.Context().Err() == nil && isFailure(err, code)
	s.settings.Log.Answered(stream.Context(), call)
}

// isFailure tells whether the client is not to blame; where HTTP has a status for the error, as that says.
func isFailure(err error, code codes.Code) bool {
	var refused gateway.Refusal
	if errors.As(err, &refused) {
		return refused.Status >= http.StatusInternalServerError
	}
	return code == codes.Unknown || code == codes.Internal || code == codes.Unavailable
}

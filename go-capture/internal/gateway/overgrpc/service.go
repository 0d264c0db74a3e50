// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/openinference"
	"visavis/capture/internal/openinference/wire"
)

const serviceName = "inference.GRPCInferenceService"

// methods are those that are answered; what is open tells nothing that /readyz does not tell.
func methods() []method {
	return []method{
		{"ServerLive", auth.Public, unary(serverLive), false},
		{"ServerReady", auth.Public, unary(serverReady), false},
		{"ModelReady", auth.Viewer, unary(modelReady), false},
		{"ServerMetadata", auth.Viewer, unary(serverMetadata), false},
		{"ModelMetadata", auth.Viewer, unary(modelMetadata), false},
		{"ModelInfer", auth.Operator, modelInfer, false},
		{"ModelStreamInfer", auth.Operator, modelStreamInfer, true},
	}
}

// unary reads one message and answers with one.
func unary[T any, Message interface {
	*T
	proto.Message
}](answer func(*Server, Message) (proto.Message, error)) func(context.Context, *Server, grpc.ServerStream) error {
	return func(ctx context.Context, s *Server, stream grpc.ServerStream) error {
		raw, err := s.receive(ctx, stream)
		if err != nil {
			return err
		}
		asked := Message(new(T))
		if err := unmarshal(raw, asked); err != nil {
			return err
		}
		said, err := answer(s, asked)
		if err != nil {
			return err
		}
		return stream.SendMsg(said)
	}
}

func serverLive(*Server, *wire.ServerLiveRequest) (proto.Message, error) {
	return &wire.ServerLiveResponse{Live: true}, nil
}

func serverReady(s *Server, _ *wire.ServerReadyRequest) (proto.Message, error) {
	return &wire.ServerReadyResponse{Ready: s.settings.Gateway.Unready() == nil}, nil
}

func modelReady(s *Server, asked *wire.ModelReadyRequest) (proto.Message, error) {
	if err := s.settings.Gateway.KnowsModel(asked.GetName(), asked.GetVersion()); err != nil {
		return nil, err
	}
	return &wire.ModelReadyResponse{Ready: s.settings.Gateway.Unready() == nil}, nil
}

func serverMetadata(s *Server, _ *wire.ServerMetadataRequest) (proto.Message, error) {
	server, _ := s.settings.Gateway.Served()
	return &wire.ServerMetadataResponse{Name: server.Name, Version: server.Version}, nil
}

func modelMetadata(s *Server, asked *wire.ModelMetadataRequest) (proto.Message, error) {
	if err := s.settings.Gateway.KnowsModel(asked.GetName(), asked.GetVersion()); err != nil {
		return nil, err
	}
	_, model := s.settings.Gateway.Served()
	return &wire.ModelMetadataResponse{Name: model.Name, Versions: model.Versions, Platform: model.Platform, Inputs: described(model.Inputs),
		Outputs: described(model.Outputs)}, nil
}

func described(tensors []openinference.TensorMetadata) []*wire.ModelMetadataResponse_TensorMetadata {
	list := make([]*wire.ModelMetadataResponse_TensorMetadata, len(tensors))
	for i, one := range tensors {
		list[i] = &wire.ModelMetadataResponse_TensorMetadata{Name: one.Name, Datatype: one.Datatype, Shape: one.Shape}
	}
	return list
}

// modelInfer lets the gateway decide when the picture is read.
func modelInfer(ctx context.Context, s *Server, stream grpc.ServerStream) error {
	call, faces, err := s.settings.Gateway.Infer(ctx, callerOf(ctx), func() (gateway.Call, error) {
		raw, err := s.receive(ctx, stream)
		if err != nil {
			return gateway.Call{}, err
		}
		return callOf(raw)
	})
	if err != nil {
		return err
	}
	return stream.SendMsg(responseOf(call, faces))
}

func responseOf(call gateway.Call, faces []openinference.Face) *wire.ModelInferResponse {
	said := &wire.ModelInferResponse{ModelName: call.Model, ModelVersion: openinference.Version, Id: call.Request.ID}
	for _, one := range call.Request.Tensors(faces) {
		said.Outputs = append(said.Outputs, &wire.ModelInferResponse_InferOutputTensor{Name: one.Name, Datatype: one.Datatype, Shape: one.Shape})
		said.RawOutputContents = append(said.RawOutputContents, one.Raw())
	}
	return said
}

// unread says why a message did not come.
func (s *Server) unread(err error) error {
	switch status.Code(err) {
	case codes.OK:
		return nil
	case codes.ResourceExhausted:
		return gateway.TooManyBytes(s.settings.PictureBytes)
	case codes.Canceled, codes.DeadlineExceeded:
		return context.Canceled
	}
	return malformedf("The message cannot be read: %v.", err)
}

// receive reads a call's message, in bounded time and with few others at once.
func (s *Server) receive(ctx context.Context, stream grpc.ServerStream) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, gateway.BodyTimeout)
	defer cancel()
	if err := s.reading.Acquire(ctx, 1); err != nil {
		return nil, gateway.TooSlow()
	}
	defer s.reading.Release(1)
	var raw []byte
	came := make(chan error, 1)
	go func() { came <- stream.RecvMsg(&raw) }() // it ends at the latest when the call does
	select {
	case err := <-came:
		return raw, s.unread(err)
	case <-ctx.Done():
		if ctx.Err() == context.DeadlineExceeded {
			return nil, gateway.TooSlow()
		}
		return nil, ctx.Err()
	}
}

// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"context"

	"google.golang.org/grpc"
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
		{"ServerLive", auth.Public, unread(serverLive), false},
		{"ServerReady", auth.Public, unread(serverReady), false},
		{"ModelReady", auth.Viewer, unary(modelReady), false},
		{"ServerMetadata", auth.Viewer, unread(serverMetadata), false},
		{"ModelMetadata", auth.Viewer, unary(modelMetadata), false},
		{"ModelInfer", auth.Operator, modelInfer, false},
		{"ModelStreamInfer", auth.Operator, modelStreamInfer, true},
	}
}

// unread answers a message that can say nothing, and does not wait for it: a stranger may announce much and send none.
func unread(answer func(*Server) proto.Message) func(context.Context, *Server, grpc.ServerStream) error {
	return func(_ context.Context, s *Server, stream grpc.ServerStream) error { return stream.SendMsg(answer(s)) }
}

// unary reads one message and answers with one.
func unary[T any, Message interface {
	*T
	proto.Message
}](answer func(*Server, Message) (proto.Message, error)) func(context.Context, *Server, grpc.ServerStream) error {
	return func(ctx context.Context, s *Server, stream grpc.ServerStream) error {
		message, err := s.receive(ctx, stream)
		if err != nil {
			return err
		}
		defer message.Release()
		asked := Message(new(T))
		if err := unmarshal(message.Bytes(), asked); err != nil {
			return err
		}
		said, err := answer(s, asked)
		if err != nil {
			return err
		}
		return stream.SendMsg(said)
	}
}

func serverLive(*Server) proto.Message { return &wire.ServerLiveResponse{Live: true} }

func serverReady(s *Server) proto.Message {
	return &wire.ServerReadyResponse{Ready: s.settings.Gateway.Unready() == nil}
}

func modelReady(s *Server, asked *wire.ModelReadyRequest) (proto.Message, error) {
	if err := s.settings.Gateway.KnowsModel(asked.GetName(), asked.GetVersion()); err != nil {
		return nil, err
	}
	return &wire.ModelReadyResponse{Ready: s.settings.Gateway.Unready() == nil}, nil
}

func serverMetadata(s *Server) proto.Message {
	server, _ := s.settings.Gateway.Served()
	return &wire.ServerMetadataResponse{Name: server.Name, Version: server.Version}
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
	call, faces, err := s.settings.Gateway.Infer(ctx, s.callerOf(ctx), func() (gateway.Call, error) {
		message, err := s.receive(ctx, stream)
		if err != nil {
			return gateway.Call{}, err
		}
		defer message.Release()
		return callOf(message.Bytes())
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

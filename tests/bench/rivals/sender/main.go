// SPDX-License-Identifier: Apache-2.0

// Command framesender hands frames to a Python process as a Go program commonly would: with grpc-go, or with net/http.
//
//	framesender grpc unix:/path WIDTHxHEIGHT COUNT INTERVAL
//	framesender rest http://127.0.0.1:PORT/frames WIDTHxHEIGHT COUNT INTERVAL
//
// Every byte of a frame is written anew, as a camera would; then the present moment (CLOCK_MONOTONIC, 8 bytes) goes in front
// of it. It is a Go module of its own: the product does not need gRPC in Go.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	stampBytes = 8
	mostBytes  = 1 << 26
)

// send hands one message over and returns when the receiver has it.
type send func(message []byte) error

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "framesender:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 5 {
		return fmt.Errorf("want KIND ADDRESS WIDTHxHEIGHT COUNT INTERVAL")
	}
	var width, height, count int
	if _, err := fmt.Sscanf(arguments[2]+" "+arguments[3], "%dx%d %d", &width, &height, &count); err != nil {
		return err
	}
	interval, err := time.ParseDuration(arguments[4])
	if err != nil {
		return err
	}
	open := map[string]func(string) (send, error){"grpc": overGRPC, "rest": overREST}[arguments[0]]
	if open == nil {
		return fmt.Errorf("%q is neither grpc nor rest", arguments[0])
	}
	hand, err := open(arguments[1])
	if err != nil {
		return err
	}
	return frames(hand, make([]byte, stampBytes+width*height*3), count, interval)
}

// frames sends one frame each interval; a late one does not delay the next.
func frames(hand send, message []byte, count int, interval time.Duration) error {
	began := time.Now()
	for i := range count {
		time.Sleep(time.Until(began.Add(time.Duration(i) * interval)))
		pixels := message[stampBytes:]
		for at := range pixels {
			pixels[at] = byte(i)
		}
		binary.LittleEndian.PutUint64(message, monotonicNs())
		if err := hand(message); err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
	}
	return nil
}

func monotonicNs() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it cannot fail with this clock
	return uint64(now.Nano())
}

// raw is bytes as they are: protobuf would copy every frame twice more.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }
func (raw) Name() string                       { return "raw" }

func overGRPC(address string) (send, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallSendMsgSize(mostBytes)),
		grpc.WithInitialWindowSize(mostBytes), grpc.WithInitialConnWindowSize(mostBytes),
		grpc.WithWriteBufferSize(1 << 20),
	}
	connection, err := grpc.NewClient(address, options...)
	if err != nil {
		return nil, err
	}
	return func(message []byte) error {
		var answer []byte
		return connection.Invoke(context.Background(), "/frames/put", &message, &answer)
	}, nil
}

func overREST(address string) (send, error) {
	client := &http.Client{Transport: &http.Transport{WriteBufferSize: 1 << 20}}
	return func(message []byte) error {
		answer, err := client.Post(address, "application/octet-stream", bytes.NewReader(message))
		if err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusNoContent {
			return fmt.Errorf("status %d", answer.StatusCode)
		}
		return answer.Body.Close()
	}, nil
}

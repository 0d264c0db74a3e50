// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const readBytes = 64 << 10

// watched is what viewers prints: pictures a second that each viewer saw.
type watched struct {
	Viewers int     `json:"viewers"`
	Least   float64 `json:"least"`
	Median  float64 `json:"median"`
	Most    float64 `json:"most"`
	Bytes   int64   `json:"bytes"` // of all viewers
	Broken  int     `json:"broken"`
}

// viewer reads one stream.
type viewer struct {
	boundary []byte
	pictures atomic.Int64
	bytes    atomic.Int64
}

// watch opens all streams, lets them settle, and counts for the span.
func watch(ctx context.Context, s settings) (watched, error) {
	return watchFor(ctx, s, func([]*viewer) { rest(ctx, s.span) })
}

func watchFor(ctx context.Context, s settings, span func([]*viewer)) (watched, error) {
	ctx, cancel := context.WithTimeout(ctx, s.warmUp+s.span+s.grace)
	defer cancel()
	c := newClient(s, 0)
	viewers := make([]*viewer, s.connections)
	ended := make(chan error, len(viewers))
	var reading sync.WaitGroup
	for i := range viewers {
		viewers[i] = &viewer{}
		begin(&reading, func() { ended <- viewers[i].read(ctx, c) })
	}
	rest(ctx, s.warmUp)
	before, bytesBefore := counts(viewers)
	began := time.Now()
	span(viewers)
	after, bytesAfter := counts(viewers)
	took := time.Since(began).Seconds()
	broken := len(ended)
	cancel()
	reading.Wait()
	c.close()
	if broken == len(viewers) {
		return watched{}, fmt.Errorf("no stream stays open: %w", <-ended)
	}
	rates := make([]float64, len(viewers))
	for i := range rates {
		rates[i] = float64(after[i]-before[i]) / took
	}
	slices.Sort(rates)
	return watched{len(viewers), rates[0], rates[len(rates)/2], rates[len(rates)-1], bytesAfter - bytesBefore, broken}, nil
}

func counts(viewers []*viewer) (pictures []int64, total int64) {
	for _, v := range viewers {
		pictures = append(pictures, v.pictures.Load())
		total += v.bytes.Load()
	}
	return pictures, total
}

// read counts boundaries until the stream or ctx ends.
func (v *viewer) read(ctx context.Context, c *client) error {
	answer, err := c.send(ctx, c.settings.url)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // nothing is left to be told
	_, parameters, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if answer.StatusCode != http.StatusOK || err != nil {
		return fmt.Errorf("status %d, Content-Type %q", answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	v.boundary = []byte("--" + parameters["boundary"] + "\r\n")
	return v.count(answer.Body)
}

func (v *viewer) count(stream io.Reader) error {
	keep := len(v.boundary) - 1 // a boundary may lie across two reads
	buffer := make([]byte, keep+readBytes)
	kept := 0
	for {
		n, err := stream.Read(buffer[kept:])
		v.bytes.Add(int64(n))
		v.pictures.Add(int64(bytes.Count(buffer[:kept+n], v.boundary)))
		tail := min(keep, kept+n)
		copy(buffer, buffer[kept+n-tail:kept+n])
		kept = tail
		if err != nil {
			return err
		}
	}
}

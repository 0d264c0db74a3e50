// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

// outcome is what one request got.
type outcome struct {
	status     int // 0 = the connection broke
	took       time.Duration
	retryAfter time.Duration // 0 = not said
	waiting    bool          // there was no answer yet when the time was over: took is how long it had waited
	ended      time.Time
}

// client is one connection that is opened again whenever the server ends it.
type client struct {
	settings settings
	http     *http.Client
}

func newClient(s settings, connections int) *client {
	return &client{s, &http.Client{Transport: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: max(connections, 1000), DisableCompression: true}}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// ask sends one request that was due at a time, and waits for its answer as long as ctx lives.
func (c *client) ask(ctx context.Context, address string, due time.Time) outcome {
	status, retryAfter, err := c.answer(ctx, address)
	now := time.Now()
	return outcome{
		status: status, took: now.Sub(due), retryAfter: time.Duration(retryAfter) * time.Second, waiting: err != nil && ctx.Err() != nil, ended: now,
	}
}

// answer reads a whole answer; the status is 0 when there is none.
func (c *client) answer(ctx context.Context, address string) (status, retryAfter int, err error) {
	answer, err := c.send(ctx, address)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0, 0, err
	}
	retryAfter, _ = strconv.Atoi(answer.Header.Get("Retry-After")) // without it 0
	return answer.StatusCode, retryAfter, nil
}

func (c *client) send(ctx context.Context, address string) (*http.Response, error) {
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if len(c.settings.body) > 0 && address == c.settings.url {
		method, body = http.MethodPost, bytes.NewReader(c.settings.body)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", c.settings.contentType)
	}
	return c.http.Do(request)
}

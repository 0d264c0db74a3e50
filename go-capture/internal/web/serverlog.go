// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"time"

	"golang.org/x/time/rate"
)

// serverLog hears what net/http says about connections and handlers. Most of it strangers cause, by ending a handshake for example; what
// is ours to mend must be seen.
type serverLog struct{ say rate.Sometimes }

func newServerLog() *log.Logger {
	return log.New(&serverLog{say: rate.Sometimes{First: 5, Interval: time.Minute}}, "", 0)
}

var ours = [][]byte{[]byte("http: panic serving"), []byte("http: Accept error")}

// Write implements io.Writer for one line, to which a panic adds its stack.
func (c *serverLog) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	for _, begin := range ours {
		if bytes.HasPrefix(line, begin) {
			c.say.Do(func() { slog.Error("the web server failed", "error", text) })
			return len(line), nil
		}
	}
	slog.Log(context.Background(), slog.LevelDebug, "web server", "said", text)
	return len(line), nil
}

// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"visavis/capture/internal/problem"
)

const (
	requestIDMost = 128
	pathMost      = 200 // bytes of a path in a line of the log

	// What a flood of refusals may write: one line in five seconds, twenty at once.
	linesPerSecond = 0.2
	linesBurst     = 20
)

// Values of Settings.LogRequests.
const (
	LogRefused = "refused" // answers of status 400 and above
	LogAll     = "all"
	LogNone    = "none"
)

// named gives each request an id that its answer carries, and writes the request's line in the log when it is answered.
func (s *Server) named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(problem.RequestIDHeader)
		if !isRequestID(id) {
			id = strconv.FormatUint(rand.Uint64(), 36) // it need not be a secret, only another one each time
		}
		w.Header().Set(problem.RequestIDHeader, id)
		began, recorder := time.Now(), recorderOf(w)
		defer func() { s.log.answered(r, recorder.code, id, began) }()
		next.ServeHTTP(recorder, r)
	})
}

// isRequestID tells whether a client's id may stand in headers, problems and logs as it is.
func isRequestID(text string) bool {
	return text != "" && len(text) <= requestIDMost && strings.IndexFunc(text, notOfID) < 0
}

func notOfID(c rune) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	return !letter && !strings.ContainsRune("-._~:/+=@", c)
}

// trace is what a traceparent header says: https://www.w3.org/TR/trace-context/.
type trace struct{ id, parent string }

// readTrace takes the one traceparent header of a request; false when there is none, more, or one that is malformed.
func readTrace(header http.Header) (trace, bool) {
	const known = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	all := header.Values("Traceparent")
	if len(all) != 1 || len(all[0]) < len(known) {
		return trace{}, false
	}
	text, more := all[0][:len(known)], all[0][len(known):]
	version, id, parent, flags := text[:2], text[3:35], text[36:52], text[53:]
	dashes := text[2] == '-' && text[35] == '-' && text[52] == '-'
	later := version != "00" && strings.HasPrefix(more, "-") // a later version may say more
	good := dashes && isHex(version) && version != "ff" && isHex(id) && isHex(parent) && isHex(flags)
	if !good || strings.Trim(id, "0") == "" || strings.Trim(parent, "0") == "" || (more != "" && !later) {
		return trace{}, false
	}
	return trace{id, parent}, true
}

func isHex(text string) bool {
	return strings.IndexFunc(text, func(c rune) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'f') }) < 0
}

// requestLog writes lines about requests; a flood of refusals is thinned out, and how many are missing is said.
type requestLog struct {
	which  string
	thin   *rate.Limiter
	missed chan uint64 // holds how many lines were left out
}

func newRequestLog(which string) *requestLog {
	l := &requestLog{which: which, thin: rate.NewLimiter(linesPerSecond, linesBurst), missed: make(chan uint64, 1)}
	l.missed <- 0
	return l
}

func (l *requestLog) answered(r *http.Request, code int, id string, began time.Time) {
	missed := uint64(0)
	switch {
	case l.which == LogAll:
	case l.which == LogNone, code < http.StatusBadRequest, r.URL.Path == "/readyz", r.URL.Path == "/v2/health/ready":
		return
	default:
		before := <-l.missed
		if !l.thin.Allow() {
			l.missed <- before + 1
			return
		}
		l.missed <- 0
		missed = before
	}
	l.write(r, code, missed, slog.String("request_id", id), slog.Float64("ms", float64(time.Since(began).Microseconds())/1000))
}

func (l *requestLog) write(r *http.Request, code int, missed uint64, more ...slog.Attr) {
	path := r.URL.Path
	line := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", path[:min(len(path), pathMost)]), slog.Int("status", code),
		slog.String("client", r.RemoteAddr),
	}
	if from, ok := readTrace(r.Header); ok {
		more = append(more, slog.String("trace_id", from.id), slog.String("parent_id", from.parent))
	}
	if missed > 0 {
		more = append(more, slog.Uint64("lines_left_out", missed))
	}
	level := slog.LevelInfo
	if code >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	slog.LogAttrs(context.WithoutCancel(r.Context()), level, "request answered", append(line, more...)...)
}

// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"visavis/capture/internal/problem"
)

// Why a picture got no answer; the label of visavis_client_pictures_total beside "answered".
const (
	reasonInvalid   = "invalid"
	reasonBusy      = "busy"
	reasonNoWorker  = "no_worker"
	reasonDeadline  = "deadline"
	reasonCancelled = "cancelled"
	reasonFailed    = "failed"
	reasonReplaced  = "replaced" // by a newer picture of the same stream
	reasonTooFast   = "too_fast"
	reasonStopping  = "stopping" // the daemon ends
)

var reasons = []string{
	reasonInvalid, reasonBusy, reasonNoWorker, reasonDeadline, reasonCancelled, reasonFailed, reasonReplaced, reasonTooFast, reasonStopping,
}

// Refusal is an error that says itself how a client is told.
type Refusal struct {
	Status        int
	Title, Detail string
	Reason        string        // one of the reason… constants
	RetryAfter    time.Duration // 0 = no such header
}

func (r Refusal) Error() string { return r.Title + ": " + r.Detail }

// IsLate tells whether time was all that was wrong.
func (r Refusal) IsLate() bool { return r.Reason == reasonDeadline }

// IsBusy tells whether an error says that there is no room now.
func IsBusy(err error) bool {
	var refused Refusal
	return errors.As(err, &refused) && refused.Reason == reasonBusy
}

func busy(wait time.Duration) error {
	return Refusal{Status: http.StatusTooManyRequests, Title: "Too many pictures are waiting", Reason: reasonBusy, RetryAfter: max(wait, time.Second),
		Detail: "The answer would come later than gateway.deadline_ms allows: send it again after Retry-After, or send fewer at a time."}
}

// TooManyComing is for a client whose message cannot be read now.
func TooManyComing() error {
	return Refusal{Status: http.StatusTooManyRequests, Title: "Too many messages are coming", Reason: reasonBusy, RetryAfter: time.Second,
		Detail: "The device reads as many at once as it has room for: send it again after Retry-After, or send fewer at a time."}
}

func tooFast(wait time.Duration) error {
	return Refusal{Status: http.StatusTooManyRequests, Title: "Too many pictures come from this address", Reason: reasonTooFast, RetryAfter: wait,
		Detail: "gateway.rate allows no more in a second: send it again after Retry-After, or raise it."}
}

func tooFastAccount(wait time.Duration) error {
	return Refusal{Status: http.StatusTooManyRequests, Title: "Too many pictures come with this login", Reason: reasonTooFast, RetryAfter: wait,
		Detail: "gateway.account_rate allows no more in a second: send it again after Retry-After, or raise it."}
}

func noWorker() error {
	return Refusal{Status: http.StatusServiceUnavailable, Title: "No worker is ready", Reason: reasonNoWorker, RetryAfter: time.Second,
		Detail: "The detector starts, or has ended: /api/v1/status and `visavis doctor` tell more."}
}

func tooLate(deadline time.Duration) error {
	return Refusal{Status: http.StatusServiceUnavailable, Title: "The answer came too late", Reason: reasonDeadline, RetryAfter: time.Second,
		Detail: fmt.Sprintf("It was not there after %d ms; gateway.deadline_ms sets how long a picture may take.", deadline.Milliseconds())}
}

func failed(detail string) error {
	return Refusal{Status: http.StatusServiceUnavailable, Title: "The detector failed", Reason: reasonFailed, RetryAfter: time.Second, Detail: detail}
}

func badRequest(format string, values ...any) error {
	return Refusal{Status: http.StatusBadRequest, Title: "The request is malformed", Reason: reasonInvalid, Detail: fmt.Sprintf(format, values...)}
}

// refusalOf turns any error into one for the client.
func refusalOf(err error) Refusal {
	var refused Refusal
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, context.Canceled):
		return Refusal{Status: problem.StatusClientGone, Title: "The client has gone", Reason: reasonCancelled}
	}
	return Refusal{Status: http.StatusInternalServerError, Title: "The device could not answer", Detail: err.Error(), Reason: reasonFailed}
}

// problem is a Refusal as clients get it.
func (r Refusal) problem() problem.Problem {
	return problem.Problem{
		Type: problem.Blank, Title: r.Title, Status: r.Status, Detail: r.Detail, RetryAfter: int(math.Ceil(r.RetryAfter.Seconds())),
	}
}

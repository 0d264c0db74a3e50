// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"net/http"
	"sync"
)

// streams are those that are open. One login may have three quarters of them, so that a program which forgets to close its own leaves some
// to others. Where nobody logs in there is only this machine.
type streams struct {
	most int

	mu   sync.Mutex
	open int
	by   map[string]int // open ones by login
}

func newStreams(most int) *streams { return &streams{most: most, by: map[string]int{}} }

// take opens one; whoever gets it gives it back.
func (s *streams) take(client sender) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= s.most {
		return tooManyStreams(fmt.Sprintf("gateway.streams = %d allows no more", s.most))
	}
	if yours := s.by[client.account]; client.account != "" && yours >= s.most-s.most/4 {
		return tooManyStreams(fmt.Sprintf("this login has %d of gateway.streams = %d, and the rest is for others", yours, s.most))
	}
	s.open++
	s.by[client.account]++
	return nil
}

func (s *streams) giveBack(client sender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	s.by[client.account]--
	if s.by[client.account] == 0 {
		delete(s.by, client.account)
	}
}

func tooManyStreams(why string) Refusal {
	return Refusal{Status: http.StatusTooManyRequests, Title: "Too many streams are open", RetryAfter: pauseMost,
		Detail: why + ": close one, or send single pictures (POST /api/v1/detect, ModelInfer)."}
}

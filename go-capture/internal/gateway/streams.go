// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"net/http"

	"visavis/capture/internal/quota"
)

// openStream counts one of gateway.streams for a client; whoever gets it calls g.sockets.GiveBack.
func (g *Gateway) openStream(client sender) error {
	var enough quota.Enough
	switch err := g.sockets.Take(client.account); {
	case errors.As(err, &enough):
		return tooManyStreams(fmt.Sprintf("this login has %d of gateway.streams = %d, and the rest is for others", enough.Has, g.settings.Streams))
	case err != nil:
		return tooManyStreams(fmt.Sprintf("gateway.streams = %d allows no more", g.settings.Streams))
	}
	return nil
}

func tooManyStreams(why string) Refusal {
	return Refusal{Status: http.StatusTooManyRequests, Title: "Too many streams are open", RetryAfter: pauseMost,
		Detail: why + ": close one, or send single pictures (POST /api/v1/detect, ModelInfer)."}
}

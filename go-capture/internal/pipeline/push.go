// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"

	"visavis/capture/internal/config"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/source"
)

// feedFor opens the door through which clients feed a push: camera; nil for other cameras.
func (a *Appliance) feedFor(c config.Camera) *gateway.Feed {
	if c.Source != string(config.SchemePush)+":" {
		return nil
	}
	return a.gateway.AddFeed(gateway.FeedSettings{Camera: c.ID, Pixels: c.Size[0] * c.Size[1], Stall: source.StallLimit(c.FPS)})
}

// door shows a source its feed; sources do not know the gateway.
type door struct{ feed *gateway.Feed }

// Next waits for the newest picture.
func (d door) Next(ctx context.Context) (source.Pushed, error) {
	next, err := d.feed.Next(ctx)
	if err != nil {
		return nil, err
	}
	return next, nil
}

// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"testing"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
)

// shows is a result that shows faces with these tracks, in a picture of the pool.
func shows(t *testing.T, pool *frame.Pool, camera string, tracks ...uint64) *hub.Result {
	t.Helper()
	picture, free := pool.Get()
	if !free {
		t.Fatal("a picture was not given back")
	}
	r := &hub.Result{Camera: camera, Picture: picture}
	for _, track := range tracks {
		r.Faces = append(r.Faces, hub.Face{Track: track, Box: geometry.Box{X: float32(track)}})
	}
	return r
}

func TestWhoAppearsIsSentOnceAndNobodyElseIs(t *testing.T) {
	pool := frame.NewPool(2)
	p := newPortraits(func(camera string) bool { return camera != "secret" }, nil)
	for _, c := range []struct {
		camera string
		tracks []uint64
		want   float32 // 0 = nothing is sent
	}{
		{"door", nil, 0}, {"door", []uint64{0}, 0}, {"secret", []uint64{1}, 0}, {"door", []uint64{1}, 1}, {"gate", []uint64{1}, 1},
		{"door", []uint64{1}, 0},    // still there
		{"door", []uint64{1, 2}, 0}, // too soon after the one before
	} {
		r := shows(t, pool, c.camera, c.tracks...)
		p.Take(r)
		r.Picture.Release()
		sent, waits := p.take()[c.camera]
		if waits != (c.want != 0) || sent.face.X != c.want {
			t.Errorf("%s %v: sent %v %v", c.camera, c.tracks, waits, sent.face)
		}
		if waits {
			sent.result.Picture.Release()
		}
	}
}

func TestTheEndGivesEveryPictureBack(t *testing.T) {
	pool := frame.NewPool(1)
	p := newPortraits(func(string) bool { return true }, func(portrait) error { return nil })
	r := shows(t, pool, "door", 1)
	p.Take(r)
	r.Picture.Release()
	ctx, end := context.WithCancel(context.Background())
	end()
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	shows(t, pool, "door").Picture.Release()
}

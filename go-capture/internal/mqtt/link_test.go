// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"visavis/capture/internal/logtest"
)

func TestEachOutageIsSaidOnce(t *testing.T) {
	var written strings.Builder
	logtest.Hear(t, slog.NewTextHandler(&written, nil))
	l, err := newLink(Settings{URL: "mqtt://127.0.0.1:1", Device: "porch"}, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reaches, tried := []bool{true, false, true, false}, 0 // each loss is followed by a try that fails the same way
	err = l.keep(ctx, func(_ context.Context, reached func()) error {
		if tried == len(reaches) {
			cancel()
			return ctx.Err()
		}
		if reaches[tried] {
			reached()
		}
		tried++
		return errors.New("cable pulled")
	})
	if err != nil || strings.Count(written.String(), "broker away") != 2 {
		t.Errorf("%v, said: %s", err, written.String())
	}
}

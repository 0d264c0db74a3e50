// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

func TestThePlugOfACameraIsNoticed(t *testing.T) {
	node := filepath.Join(t.TempDir(), "video0")
	plugged := make(chan bool)
	go func() { plugged <- AwaitPlug(context.Background(), "v4l2:"+node) }()
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Whether the node was seen to be away depends on who looks when: pull it and plug it in until it was.
	for {
		select {
		case was := <-plugged:
			if !was {
				t.Fatal("the wait ended without a camera")
			}
			return
		default:
		}
		if err := os.Remove(node); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(node, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNobodyWaitsForAPlugLongerThanToTheNextTry(t *testing.T) {
	there := filepath.Join(t.TempDir(), "video0")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{"v4l2:" + there, "v4l2:/no/such/camera", "demo:", "rtsp://camera/1"} {
		ctx, end := context.WithTimeout(context.Background(), 3*plugLook)
		if AwaitPlug(ctx, uri) {
			t.Errorf("%s was plugged in", uri)
		}
		end()
	}
}

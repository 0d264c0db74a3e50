// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two links may lead to one node after a plug, or while both cameras have one serial number.
func TestOfTwoCamerasOfOneNodeOnlyTheSecondIsLost(t *testing.T) {
	folder := t.TempDir()
	left, right := filepath.Join(folder, "left"), filepath.Join(folder, "right")
	for _, link := range []string{left, right} {
		if err := os.Symlink("/dev/null", link); err != nil {
			t.Fatal(err)
		}
	}
	open := func(path string) (Source, error) {
		return claiming(opens(nil))(t.Context(), Settings{URI: "v4l2:" + path}, path)
	}
	first, err := open(left)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Settings{URI: "v4l2:" + right}); err == nil || !strings.Contains(err.Error(), "v4l2:"+right+" is the device of v4l2:"+left+" as well now") {
		t.Errorf("the second: %v", err)
	}
	other, err := open("/dev/zero")
	if err != nil {
		t.Errorf("another node: %v", err)
	}
	if err := errors.Join(first.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	second, err := open(right)
	if err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := open(left); err == nil {
		t.Error("to close the first once more took the node from the second")
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestACameraThatDoesNotOpenLeavesItsNodeToOthers(t *testing.T) {
	for range 2 {
		if _, err := claiming(opens(errNotOpened))(t.Context(), Settings{URI: "v4l2:/dev/null"}, "/dev/null"); !errors.Is(err, errNotOpened) {
			t.Error(err)
		}
	}
	if _, err := claiming(opens(errNotOpened))(t.Context(), Settings{URI: "v4l2:/dev/away"}, "/dev/away"); !errors.Is(err, errNotOpened) {
		t.Errorf("a node that is not there: %v", err)
	}
}

func opens(err error) opener {
	return func(context.Context, Settings, string) (Source, error) { return nothing{}, err }
}

type nothing struct{ Source }

func (nothing) Close() error { return nil }

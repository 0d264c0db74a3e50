// SPDX-License-Identifier: Apache-2.0

package gateway

import "testing"

// Nobody would read what comes of it: the client is told to go.
func TestACameraTakesNoPictureWhileTheFeederIsToldToGo(t *testing.T) {
	by := &feeder{box: newMailbox(func() {}), answers: make(chan pushAnswer, 1)}
	by.box.replace(0, &body{})
	f := &Feed{feeder: by}
	if !f.waiting() {
		t.Fatal("there is no picture")
	}
	f.answerLast(t.Context(), by, nil)
	if _, took := f.take(); took || f.waiting() {
		t.Error("the camera takes one more")
	}
}

// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"testing"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/showing"
)

func TestAPictureThatNobodyLookedAtIsShownAsThat(t *testing.T) {
	pool := frame.NewPool(1)
	defer pool.Close()
	picture, _ := pool.Get()
	var shown hub.Result
	c := &camera{show: func(r *hub.Result) { shown = *r }}
	c.showOnly(picture)
	if !shown.Unlooked || shown.Seq != 0 {
		t.Errorf("%+v", shown)
	}
}

func TestACameraThatIsGoneHidesFaces(t *testing.T) {
	if got := (&Appliance{}).privacy("gone"); got != showing.PrivacyPixelate {
		t.Errorf("of a camera that is gone viewers see %q", got)
	}
}

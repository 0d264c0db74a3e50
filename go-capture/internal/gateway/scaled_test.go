// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"testing"

	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
)

// A photo that lies on its side: what libjpeg draws beyond its last row comes to lie to the left of it.
func TestFacesAreDrawnWhereTheyLieInAPictureDecodedSmaller(t *testing.T) {
	turned := Header{Type: jpegType, Width: 4000, Height: 3001, Orientation: 6}
	in := []hub.Face{{Box: geometry.Box{X: 9, Y: 16, W: 80, H: 160}, Score: 0.75}}
	got := scaled(in, 8, turned.Beyond(8))
	if want := (geometry.Box{X: 2, Y: 2, W: 10, H: 20}); got[0].Box != want || got[0].Score != 0.75 {
		t.Errorf("at 1/8: %+v, want %+v", got[0], want)
	}
	if got := scaled(in, 1, turned.Beyond(1)); got[0].Box != in[0].Box {
		t.Errorf("as it is: %+v", got[0])
	}
}

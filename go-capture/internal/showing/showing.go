// SPDX-License-Identifier: Apache-2.0

// Package showing has the words for how a picture is shown, for those who ask for one and for the one who draws it.
package showing

import "visavis/capture/internal/geometry"

// What may be seen of a face. The values are those of the setting `privacy` of a camera.
const (
	PrivacyPixelate = "pixelate"
	PrivacyBlur     = "blur"
	PrivacyNone     = "none"
)

// ShowsTooMuch tells whether a picture that was made with one privacy shows faces which another one, that of now, hides.
func ShowsTooMuch(made, now string) bool { return made == PrivacyNone && now != PrivacyNone }

// Style is one way to show a picture. Its zero value hides faces and leaves the rest as it is.
type Style struct {
	Privacy string       // one of the Privacy… constants; anything else counts as PrivacyPixelate
	Boxes   bool         // draw the faces' boxes
	Width   int          // pixels, 0 = the picture's own; never larger than that
	Part    geometry.Box // of the picture in its own pixels that is shown; empty = all of it
}

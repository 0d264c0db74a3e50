// SPDX-License-Identifier: Apache-2.0

package geometry

import "math"

// Round keeps 1/parts of v's unit: payloads tell pixels to a tenth and scores to a thousandth.
func Round(v, parts float64) float64 { return math.Round(v*parts) / parts }

// Tenths is x, y, width, height to a tenth of a pixel.
func (b Box) Tenths() [4]float64 {
	return [4]float64{tenths(b.X), tenths(b.Y), tenths(b.W), tenths(b.H)}
}

// Tenths is x, y to a tenth of a pixel.
func (p Point) Tenths() [2]float64 { return [2]float64{tenths(p.X), tenths(p.Y)} }

func tenths(v float32) float64 { return Round(float64(v), 10) }

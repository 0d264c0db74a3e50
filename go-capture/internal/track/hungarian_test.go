// SPDX-License-Identifier: Apache-2.0

package track

import "math"

// hungarian chooses the pairs with the largest sum of overlaps: what bestFirst is measured against.
func hungarian(pairs []pair) []pair {
	faces, boxes := 0, 0
	for _, p := range pairs {
		faces, boxes = max(faces, p.face+1), max(boxes, p.box+1)
	}
	size := max(faces, boxes)
	gain := make([][]float64, size)
	for i := range gain {
		gain[i] = make([]float64, size)
	}
	for _, p := range pairs {
		gain[p.face][p.box] = p.overlap
	}
	owner := bestSum(gain)
	chosen := pairs[:0]
	for _, p := range pairs {
		if owner[p.box] == p.face {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

// bestSum returns the row of each column (Kuhn and Munkres with potentials).
func bestSum(gain [][]float64) []int {
	n := len(gain)
	u, v, owner := make([]float64, n+1), make([]float64, n+1), make([]int, n+1)
	for row := 1; row <= n; row++ {
		owner[0] = row
		column, least, way, used := 0, make([]float64, n+1), make([]int, n+1), make([]bool, n+1)
		for j := range least {
			least[j] = math.Inf(1)
		}
		for owner[column] != 0 {
			used[column] = true
			row, delta, next := owner[column], math.Inf(1), 0
			for j := 1; j <= n; j++ {
				if used[j] {
					continue
				}
				if cost := -gain[row-1][j-1] - u[row] - v[j]; cost < least[j] {
					least[j], way[j] = cost, column
				}
				if least[j] < delta {
					delta, next = least[j], j
				}
			}
			for j := 0; j <= n; j++ {
				if used[j] {
					u[owner[j]] += delta
					v[j] -= delta
				} else {
					least[j] -= delta
				}
			}
			column = next
		}
		for column != 0 {
			owner[column] = owner[way[column]]
			column = way[column]
		}
	}
	rows := make([]int, n)
	for j := range rows {
		rows[j] = owner[j+1] - 1
	}
	return rows
}

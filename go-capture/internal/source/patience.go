// SPDX-License-Identifier: Apache-2.0

package source

import "time"

// startLimit is how long an open camera may take to its first picture: a sensor looks for its exposure, a grabber for its
// signal. To give up sooner would make it begin anew, for ever.
const startLimit = openLimit

// patience is how long one Grab may wait: the start limit until the session has given a picture, then the stall limit.
type patience struct{ next, stall time.Duration }

func newPatience(stall time.Duration) patience { return patience{max(startLimit, stall), stall} }

// gave notes a picture.
func (p *patience) gave() { p.next = p.stall }

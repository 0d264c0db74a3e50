// SPDX-License-Identifier: Apache-2.0

// Package quota shares out what there is a number of, such as open streams.
package quota

import (
	"errors"
	"fmt"
	"sync"
)

// ErrFull is said when nobody gets one more.
var ErrFull = errors.New("all are taken")

// Enough is said to a login that has as many as one may have while others get more.
type Enough struct{ Has int }

// Error says how many they are.
func (e Enough) Error() string {
	return fmt.Sprintf("this login has %d, and the rest is for others", e.Has)
}

// Quota counts what is taken. One login may have three quarters, so that a program which forgets to give back leaves some to others. Where
// nobody logs in there is only this machine.
type Quota struct {
	most int

	mu    sync.Mutex
	taken int
	by    map[string]int // by login
}

// New shares out so many.
func New(most int) *Quota { return &Quota{most: most, by: map[string]int{}} }

// Take takes one for a login, "" without one, or fails with ErrFull or Enough. Whoever gets it gives it back.
func (q *Quota) Take(login string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.taken >= q.most {
		return ErrFull
	}
	if has := q.by[login]; login != "" && has >= q.most-q.most/4 {
		return Enough{has}
	}
	q.taken++
	q.by[login]++
	return nil
}

// GiveBack is called once for each that was taken.
func (q *Quota) GiveBack(login string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken--
	q.by[login]--
	if q.by[login] == 0 {
		delete(q.by, login)
	}
}

// Taken is how many are.
func (q *Quota) Taken() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.taken
}

// SPDX-License-Identifier: Apache-2.0

// Package auth says who sent a request and what they may do.
//
// The way of a request with a token or a session:
//
//  1. Gate reads the credentials file again if it changed          gate, book, file
//  2. a token costs argon2id once, then a keyed hash finds it      token, hash
//     a session's cookie is found by its hash                      session
//  3. the account's role and cameras decide                        account
//  4. whatever stays open ends when the account or session does    hold
//
// A login goes through throttle.go first: nobody can make the device compute, or fill its memory, by trying passwords.
package auth

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Role is what somebody may do. Each includes the ones before it.
type Role int

// The roles. Unset is that of a route which nobody thought about: it is an error, never a right.
const (
	Unset Role = iota
	Public
	Viewer
	Operator
	Admin
)

var roleNames = map[Role]string{Public: "public", Viewer: "viewer", Operator: "operator", Admin: "admin"}

// String is the role's name in the credentials file and on the command line.
func (r Role) String() string { return roleNames[r] }

// RoleOf finds a role that an account can have.
func RoleOf(name string) (Role, error) {
	for _, role := range []Role{Viewer, Operator, Admin} {
		if role.String() == name {
			return role, nil
		}
	}
	return Unset, fmt.Errorf("no role is called %q; choose viewer, operator or admin", name)
}

// Identity is who sent a request. The zero value is nobody, who sees nothing.
type Identity struct {
	Name    string
	Role    Role
	cameras []string
	account *Account // nil for Everyone and nobody
	session *session // nil without a cookie
}

var allCameras = []string{everyCamera}

// Everyone is whoever asks a device that wants no login.
func Everyone() Identity { return Identity{Role: Admin, cameras: allCameras} }

// MaySee tells whether the camera is one of theirs.
func (i Identity) MaySee(camera string) bool {
	return i.SeesAll() || slices.Contains(i.cameras, camera)
}

// SeesAll tells whether no camera, not even a future one, is hidden from them.
func (i Identity) SeesAll() bool { return slices.Contains(i.cameras, everyCamera) }

// Cameras are the ids that they may see; "*" is every one.
func (i Identity) Cameras() []string { return slices.Clone(i.cameras) }

var (
	// ErrUnknown is all that is said about a name, a password, a token or a session that does not hold.
	ErrUnknown = errors.New("the name, the password or the token is not known here")
	// ErrTaken is said about a second account of the same name.
	ErrTaken = errors.New("is there already")
	// ErrBusy is said when so many passwords are being checked that one more would have to wait too long.
	ErrBusy = errors.New("too many logins are being checked at once")
)

// Throttled is the error for somebody who has tried too often.
type Throttled struct{ Wait time.Duration }

func (t Throttled) Error() string {
	return fmt.Sprintf("too many logins: try again in %.0f s", t.Wait.Seconds())
}

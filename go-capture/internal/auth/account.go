// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Kinds of credentials.
const (
	Password = "password" // a person logs in with it, on the page
	Token    = "token"    // a program sends it with each request
)

const (
	everyCamera = "*"
	// PasswordLeast and PasswordMost are characters and bytes.
	PasswordLeast = 12
	PasswordMost  = 1024

	tokenPrefix      = "vis_"
	tokenIDLength    = 8
	tokenLengthMost  = 128
	tokenSecretRunes = 32 // 160 bits in base32
)

// CameraID is the form of a camera's id, also of one that is gone.
var CameraID = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

var (
	namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._@-]{0,63}$`)
	idPattern   = regexp.MustCompile(`^[a-z2-7]{8}$`)
)

// Account is one line of the credentials file: a name, what it may do, and the hash of its one secret.
type Account struct {
	Name      string    `toml:"name" json:"name"`
	Role      string    `toml:"role" json:"role"`
	Cameras   []string  `toml:"cameras" json:"cameras"` // ids; "*" is every camera
	Kind      string    `toml:"kind" json:"kind"`
	ID        string    `toml:"id,omitempty" json:"id,omitempty"` // the part of a token that may be shown
	Hash      string    `toml:"hash" json:"-"`
	CreatedAt time.Time `toml:"created_at" json:"created_at"`

	role Role
	hash phc
}

// check fills what is derived from the text and says what is wrong with it.
func (a *Account) check() error {
	if !namePattern.MatchString(a.Name) {
		return fmt.Errorf("%q is not allowed as a name: use 1 to 64 of a-z 0-9 . _ @ - and begin with a letter or digit", a.Name)
	}
	var err error
	if a.role, err = RoleOf(a.Role); err != nil {
		return err
	}
	for _, camera := range a.Cameras {
		if camera != everyCamera && !CameraID.MatchString(camera) {
			return fmt.Errorf("%q is not the id of a camera", camera)
		}
	}
	if a.Kind != Password && a.Kind != Token {
		return fmt.Errorf("%q is neither %q nor %q", a.Kind, Password, Token)
	}
	if a.Kind == Token && !idPattern.MatchString(a.ID) {
		return fmt.Errorf("%q is not the id of a token", a.ID)
	}
	a.hash, err = parseHash(a.Hash)
	return err
}

func (a *Account) isAdmin() bool { return a.role == Admin }

func (a *Account) identity(s *session) Identity {
	return Identity{Name: a.Name, Role: a.role, cameras: a.Cameras, account: a, session: s}
}

// same tells whether nothing about the account has changed.
func (a *Account) same(other *Account) bool {
	return a.Name == other.Name && a.Role == other.Role && a.Kind == other.Kind && a.ID == other.ID && a.Hash == other.Hash &&
		slices.Equal(a.Cameras, other.Cameras)
}

// Wanted is an account that is to be made.
type Wanted struct {
	Name     string
	Role     string
	Cameras  []string // empty = none; "*" = every one
	Password string   // empty = make a token
}

// newAccount makes an account and, without a password, its token, which exists nowhere else.
func newAccount(wanted Wanted, now time.Time) (made Account, token string, err error) {
	made = Account{Name: wanted.Name, Role: wanted.Role, Cameras: wanted.Cameras, Kind: Password, CreatedAt: now.UTC().Truncate(time.Second)}
	if made.Cameras == nil {
		made.Cameras = []string{}
	}
	secret := wanted.Password
	if secret == "" {
		made.Kind, made.ID = Token, randomText(tokenIDLength)
		secret = randomText(tokenSecretRunes)
		token = tokenPrefix + made.ID + "_" + secret
	} else if err := goodPassword(secret); err != nil {
		return made, "", err
	}
	made.Hash = hashOf(secret).String()
	return made, token, made.check()
}

// Check says what is wrong with the name, the role, the cameras or the password.
func (w Wanted) Check() error {
	made := Account{Name: w.Name, Role: w.Role, Cameras: w.Cameras, Kind: Password, Hash: harmless}
	if err := made.check(); err != nil {
		return err
	}
	return goodPassword(w.Password)
}

// harmless stands for the hash of an account that is only checked.
const harmless = "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"

func goodPassword(text string) error {
	text = normal(text)
	switch {
	case !utf8.ValidString(text):
		return errors.New("the password is not valid UTF-8")
	case utf8.RuneCountInString(text) < PasswordLeast:
		return fmt.Errorf("the password is too short: use at least %d characters, such as four words", PasswordLeast)
	case len(text) > PasswordMost:
		return fmt.Errorf("the password is longer than %d bytes", PasswordMost)
	}
	return nil
}

// randomText is base32 in lower case, five bits a character.
func randomText(length int) string {
	text := ""
	for len(text) < length {
		text += strings.ToLower(rand.Text())
	}
	return text[:length]
}

// splitToken takes a token apart; its id finds the account.
func splitToken(token string) (id, secret string, ok bool) {
	rest, ours := strings.CutPrefix(token, tokenPrefix)
	id, secret, whole := strings.Cut(rest, "_")
	return id, secret, ours && whole && len(token) <= tokenLengthMost
}

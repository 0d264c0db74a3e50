// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/text/unicode/norm"
)

// cost is what one argon2id hash takes.
type cost struct {
	memoryKiB, passes uint32
	lanes             uint8
}

// usual is OWASP's least: 19 MiB. A Raspberry Pi has them to spare, as long as it computes few hashes at once.
var usual = cost{memoryKiB: 19 << 10, passes: 2, lanes: 1}

// most bounds what a line of the credentials file can ask for.
var most = cost{memoryKiB: 128 << 10, passes: 16, lanes: 8}

const (
	saltBytes = 16
	sumBytes  = 32
	// hashesAtOnce bounds memory: each takes 19 MiB. hashesWaiting bounds how long the last one waits.
	hashesAtOnce  = 1
	hashesWaiting = 8
)

// phc is a hash as the PHC string format writes it: $argon2id$v=19$m=19456,t=2,p=1$salt$sum.
type phc struct {
	cost
	salt, sum []byte
}

var unpadded = base64.RawStdEncoding.Strict()

func (h phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memoryKiB, h.passes, h.lanes,
		unpadded.EncodeToString(h.salt), unpadded.EncodeToString(h.sum))
}

var errNoHash = errors.New("a hash is not one of argon2id as the PHC format writes it")

// parseHash reads a PHC string. What it does not write itself in the same way, it does not take.
func parseHash(text string) (phc, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 {
		return phc{}, errNoHash
	}
	var h phc
	var err error
	if _, err = fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memoryKiB, &h.passes, &h.lanes); err != nil {
		return phc{}, errNoHash
	}
	if h.salt, err = unpadded.DecodeString(parts[4]); err != nil {
		return phc{}, errNoHash
	}
	if h.sum, err = unpadded.DecodeString(parts[5]); err != nil {
		return phc{}, errNoHash
	}
	if h.String() != text || len(h.salt) < 8 || len(h.sum) < 16 {
		return phc{}, errNoHash
	}
	return h, h.withinBounds()
}

func (h phc) withinBounds() error {
	if h.memoryKiB < 8*uint32(h.lanes) || h.passes < 1 || h.lanes < 1 {
		return errNoHash
	}
	if h.memoryKiB > most.memoryKiB || h.passes > most.passes || h.lanes > most.lanes || len(h.salt) > 64 || len(h.sum) > 64 {
		return fmt.Errorf("it takes more than m=%d,t=%d,p=%d, which a login may not cost", most.memoryKiB, most.passes, most.lanes)
	}
	return nil
}

// hashOf makes a hash of a new secret.
func hashOf(secret string) phc {
	h := phc{cost: usual, salt: make([]byte, saltBytes)}
	_, _ = rand.Read(h.salt) // it never fails: without randomness the program ends
	h.sum = h.of(normal(secret), sumBytes)
	return h
}

// normal is the same for all ways of writing one text: keyboards and systems differ in whether ü is one character or two.
func normal(secret string) string { return norm.NFC.String(secret) }

// isOf tells whether the hash is that of a secret. One that is older may be of the secret as it was written.
func (h phc) isOf(secret string) bool {
	usual := normal(secret)
	return h.isOfBytes(usual) || usual != secret && h.isOfBytes(secret)
}

func (h phc) isOfBytes(secret string) bool {
	return subtle.ConstantTimeCompare(h.of(secret, len(h.sum)), h.sum) == 1
}

func (h phc) of(secret string, length int) []byte {
	return argon2.IDKey([]byte(secret), h.salt, h.passes, h.memoryKiB, h.lanes, uint32(length))
}

// verifier checks secrets, few at once.
type verifier struct {
	places  *semaphore.Weighted
	waiting atomic.Int32
}

func newVerifier() *verifier { return &verifier{places: semaphore.NewWeighted(hashesAtOnce)} }

// matches tells whether the secret is the one of the hash. It fails with ErrBusy, or when ctx ends while it waits.
func (v *verifier) matches(ctx context.Context, h phc, secret string) (good bool, err error) {
	err = v.alone(ctx, func() error {
		good = h.isOf(secret)
		return nil
	})
	return good, err
}

// alone does something that computes a hash when no more than few others do.
func (v *verifier) alone(ctx context.Context, what func() error) error {
	if v.waiting.Add(1) > hashesWaiting {
		v.waiting.Add(-1)
		return ErrBusy
	}
	err := v.places.Acquire(ctx, 1)
	v.waiting.Add(-1)
	if err != nil {
		return err
	}
	defer v.places.Release(1)
	return what()
}

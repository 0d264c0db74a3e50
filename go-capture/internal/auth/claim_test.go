// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func (d *door) claimAs(name, code string) error {
	_, _, err := d.Claim(context.Background(), home, code, Wanted{Name: name, Password: password})
	return err
}

func TestWhoeverHasTheCodeBecomesTheFirstAdministratorAndNobodyAfterThem(t *testing.T) {
	d := openDoor(t)
	code := d.OfferClaim()
	if len(code) != 9 || !d.ClaimOpen() {
		t.Fatalf("the code is %q", code)
	}
	typed := " " + strings.ToLower(strings.ReplaceAll(code, "-", " "))
	cookie, who, err := d.Claim(context.Background(), home, typed, Wanted{Name: "anna", Password: password, Role: "viewer"})
	if err != nil || who.Role != Admin || !who.SeesAll() {
		t.Fatalf("claimed by %+v, %v", who, err)
	}
	if found, err := d.BySession(cookie); err != nil || found.Name != "anna" {
		t.Errorf("the cookie is of %+v, %v", found, err)
	}
	d.login(t, "anna")
	d.refuses(t, "a second claim", d.claimAs("ben", code), ErrClaimed)
	if d.ClaimOpen() || d.OfferClaim() != "" {
		t.Error("a device that has an administrator can be claimed")
	}
}

func TestAClaimIsOverWhenItsTimeIsOrAnAdministratorIsMadeElsewhere(t *testing.T) {
	d := openDoor(t)
	d.refuses(t, "without an offer", d.claimAs("ben", ""), ErrClaimed)
	code := d.OfferClaim()
	d.time = d.time.Add(ClaimLasts)
	d.refuses(t, "too late", d.claimAs("ben", code), ErrClaimed)
	code = d.OfferClaim()
	d.addAnna(t)
	d.refuses(t, "after somebody used the command", d.claimAs("ben", code), ErrClaimed)
}

func TestACodeThatItsOwnerHasAlreadyCountsUntilItWasUsed(t *testing.T) {
	d := openDoor(t)
	for _, bad := range []string{"", "ABCD", "ABCD-EFG1", "ABCD-EFGHJ"} {
		if d.OfferKnownClaim(bad) == nil {
			t.Errorf("%q is taken for a code", bad)
		}
	}
	if err := d.OfferKnownClaim("abcd-efgh\n"); err != nil {
		t.Fatal(err)
	}
	d.time = d.time.Add(30 * 24 * time.Hour)
	d.refuses(t, "another code", d.claimAs("ben", "ABCD-EFGJ"), ErrUnknown)
	if err := d.claimAs("anna", "ABCDEFGH"); err != nil {
		t.Fatal(err)
	}
	d.refuses(t, "a second time", d.claimAs("ben", "ABCDEFGH"), ErrClaimed)
}

func TestACodeThatWasUsedNeverCountsAgain(t *testing.T) {
	d := openDoor(t)
	const code = "ABCD-EFGH"
	d.offer(t, code)
	if err := d.claimAs("anna", code); err != nil {
		t.Fatal(err)
	}
	// firmware-image/device looks for this hash.
	if noted, err := os.ReadFile(d.file.Path + ".claimed"); string(noted) != "9ac2197d9258257b1ae8463e4214e4cd0a578bc1517f2415928b91be4283fc48\n" {
		t.Errorf("noted: %s, %v", noted, err)
	}
	if err := d.file.Revoke("anna"); err != nil {
		t.Fatal(err)
	}
	d.refuses(t, "in the same daemon", d.claimAs("ben", code), ErrClaimed)
	again := d.startedAgain(t, time.Minute)
	d.refuses(t, "in the next one", again.OfferKnownClaim("abcdefgh"), ErrUsed)
	if again.ClaimOpen() {
		t.Error("it waits for a claim")
	}
	again.offer(t, "JKLM-NPQR")
	if err := again.claimAs("ben", "JKLM-NPQR"); err != nil {
		t.Error("a new code:", err)
	}
}

func TestAKnownCodeCountsUntilAClaimIsWhole(t *testing.T) {
	d := openDoor(t)
	const code = "ABCD-EFGH"
	for _, ending := range []string{"", ".claimed"} {
		d.offer(t, code)
		blocker := d.file.Path + ending + ".new" // where what is written lies until it is whole
		if err := os.MkdirAll(filepath.Join(blocker, "full"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := d.claimAs("anna", code); err == nil || d.HasAdmin() {
			t.Fatalf("claimed though %s cannot be written: %v", blocker, err)
		}
		if err := os.RemoveAll(blocker); err != nil {
			t.Fatal(err)
		}
		d = d.startedAgain(t, time.Minute)
	}
	d.offer(t, code)
	if err := d.claimAs("anna", code); err != nil {
		t.Error(err)
	}
}

func TestTheCodeOfADeviceThatWasClaimedBeforeCodesWereNotedIsUsed(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	for _, code := range []string{"ABCD-EFGH", "JKLM-NPQR"} { // the second one is new
		if err := d.NoteKnownClaim(code); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.file.Revoke("anna"); err != nil {
		t.Fatal(err)
	}
	d.refuses(t, "the first", d.OfferKnownClaim("ABCD-EFGH"), ErrUsed)
	d.offer(t, "JKLM-NPQR")
}

func (d *door) offer(t *testing.T, code string) {
	t.Helper()
	if err := d.OfferKnownClaim(code); err != nil {
		t.Fatal(err)
	}
}

func TestCodesCannotBeGuessed(t *testing.T) {
	d := openDoor(t)
	code := d.OfferClaim()
	for range perAddress.burst {
		d.refuses(t, "a wrong code", d.claimAs("ben", "AAAA-AAAA"), ErrUnknown)
	}
	if err := d.claimAs("ben", code); !errors.As(err, &Throttled{}) {
		t.Errorf("after %d wrong codes: %v", perAddress.burst, err)
	}
	seen := map[string]bool{}
	for range 200 {
		seen[d.OfferClaim()] = true
	}
	if len(seen) != 200 {
		t.Errorf("200 codes, %d different ones", len(seen))
	}
}

func TestAClaimWithABadPasswordCanBeTriedAgain(t *testing.T) {
	d := openDoor(t)
	code := d.OfferClaim()
	if _, _, err := d.Claim(context.Background(), home, code, Wanted{Name: "anna", Password: "short"}); err == nil {
		t.Fatal("a short password is taken")
	}
	if err := d.claimAs("anna", code); err != nil {
		t.Errorf("the second try: %v", err)
	}
}

func TestOfTwoWhoClaimAtOnceOneWins(t *testing.T) {
	d := openDoor(t)
	code := d.OfferClaim()
	results := make(chan error, 4)
	var claiming sync.WaitGroup
	for _, name := range []string{"anna", "ben", "cleo", "dora"} {
		claiming.Add(1)
		go func() {
			defer claiming.Done()
			results <- d.claimAs(name, code)
		}()
	}
	claiming.Wait()
	won := 0
	for range cap(results) {
		if err := <-results; err == nil {
			won++
		} else {
			d.refuses(t, "too late", err, ErrClaimed)
		}
	}
	if won != 1 {
		t.Errorf("%d of four won", won)
	}
}

func TestWhoHasClaimedADeviceIsKnownThere(t *testing.T) {
	d := openDoor(t)
	if err := d.claimAs("anna", d.OfferClaim()); err != nil {
		t.Fatal(err)
	}
	d.attack(t, "anna")
	d.login(t, "anna")
}

// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestOneAddressGetsFiveTriesAndTheNextAddressItsOwn(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	for range perAddress.burst {
		_, _, err := d.Login(context.Background(), home, "anna", "wrong horse battery")
		d.refuses(t, "a try", err, ErrUnknown)
	}
	_, _, err := d.Login(context.Background(), home, "anna", password)
	var wait Throttled
	if !errors.As(err, &wait) || wait.Wait <= 0 || wait.Wait > perAddress.each {
		t.Errorf("after %d tries: %v", perAddress.burst, err)
	}
	if _, _, err := d.Login(context.Background(), "192.0.2.8:50000", "anna", password); err != nil {
		t.Errorf("from another address: %v", err)
	}
	d.time = d.time.Add(perAddress.each)
	if _, _, err := d.Login(context.Background(), home, "anna", password); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestGuessingFromManyAddressesRunsIntoTheNamesLimitAndDoesNotLockItsOwnerOut(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	d.login(t, "anna")
	for n := range perName.burst + 5 {
		_, _, err := d.Login(context.Background(), fmt.Sprintf("198.51.100.%d:1", n), "anna", "wrong horse battery")
		if throttled := errors.As(err, &Throttled{}); throttled != (n >= perName.burst-1) { // anna's own login was one
			t.Fatalf("try %d: %v", n, err)
		}
	}
	d.login(t, "anna") // from the address where she was before
}

func TestAHouseholdsIPv6IsOneAddress(t *testing.T) {
	d := openDoor(t)
	for n := range perAddress.burst {
		_, _, err := d.Login(context.Background(), fmt.Sprintf("[2001:db8:1:2::%d]:80", n+1), "anna", password)
		d.refuses(t, "a try", err, ErrUnknown)
	}
	if _, _, err := d.Login(context.Background(), "[2001:db8:1:2:3:4:5:6]:80", "anna", password); !errors.As(err, &Throttled{}) {
		t.Errorf("from another address of the household: %v", err)
	}
	_, _, err := d.Login(context.Background(), "[2001:db8:1:3::1]:80", "anna", password)
	d.refuses(t, "the neighbours", err, ErrUnknown)
}

func TestAThrottleStaysSmallAndRemembersWhoTriedMost(t *testing.T) {
	limit, now := newThrottle(perAddress), time.Now()
	for limit.take("attacker", now) == 0 {
		continue
	}
	for n := range 3 * bucketsMost {
		limit.take(fmt.Sprint(n), now)
	}
	if len(limit.buckets) > bucketsMost {
		t.Errorf("%d buckets, want at most %d", len(limit.buckets), bucketsMost)
	}
	if limit.take("attacker", now) == 0 {
		t.Error("the attacker was forgotten")
	}
}

func TestAFloodOfLoginsComputesOneHashAtATimeAndRefusesTheRest(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	if err := d.verifier.places.Acquire(context.Background(), hashesAtOnce); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan error, 100)
	var trying sync.WaitGroup
	for n := range cap(results) {
		trying.Add(1)
		go func() {
			defer trying.Done()
			_, _, err := d.Login(ctx, fmt.Sprintf("198.51.100.%d:1", n), fmt.Sprint("name", n), password)
			results <- err
		}()
	}
	for range cap(results) - hashesWaiting {
		d.refuses(t, "a login too many", <-results, ErrBusy)
	}
	cancel()
	trying.Wait()
	d.verifier.places.Release(hashesAtOnce)
	d.login(t, "anna")
}

func TestADeviceAtHomeKeepsNobodyOutWhoHasLoggedInFromThereBefore(t *testing.T) {
	const sofa, toaster = "[fd12:3456:789a:1::10]:50000", "[fd12:3456:789a:1::bad]:50000"
	d := openDoor(t)
	d.addAnna(t)
	if _, _, err := d.Login(context.Background(), sofa, "anna", password); err != nil {
		t.Fatal(err)
	}
	for range perAddress.burst + 1 {
		_, _, _ = d.Login(context.Background(), toaster, "anna", "wrong horse battery")
	}
	if _, _, err := d.Login(context.Background(), toaster, "anna", password); !errors.As(err, &Throttled{}) {
		t.Errorf("from another device of the network: %v", err)
	}
	if _, _, err := d.Login(context.Background(), sofa, "anna", password); err != nil {
		t.Errorf("from where she was before: %v", err)
	}
	for range perAddress.burst {
		_, _, _ = d.Login(context.Background(), sofa, "anna", "wrong horse battery")
	}
	if _, _, err := d.Login(context.Background(), sofa, "anna", password); !errors.As(err, &Throttled{}) {
		t.Errorf("after many wrong passwords from there: %v", err)
	}
}

func TestSomebodyWhoseAddressOfIPv6HasChangedIsStillKnown(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	if _, _, err := d.Login(context.Background(), "[2001:db8:1:1::aaaa]:50000", "anna", password); err != nil {
		t.Fatal(err)
	}
	d.attack(t, "anna")
	if _, _, err := d.Login(context.Background(), "[2001:db8:1:1::bbbb]:50000", "anna", password); err != nil {
		t.Errorf("the day after: %v", err)
	}
}

func TestWrongTokensThatAreVerifiedAtOnceAreAllOwed(t *testing.T) {
	d := openDoor(t)
	now := d.time
	for range perToken.burst + 3 {
		d.tokens.owe("host", now)
	}
	if wait := d.tokens.wait("host", now); wait != 4*perToken.each {
		t.Errorf("the next one waits for %v, want %v", wait, 4*perToken.each)
	}
}

func TestRightTokensOfOneHostAreNotCountedAsGuesses(t *testing.T) {
	d := openDoor(t)
	tokens := make([]string, 2*perToken.burst)
	for n := range tokens {
		tokens[n] = d.add(t, Wanted{Name: fmt.Sprint("robot-", n), Role: "viewer"})
	}
	for n, token := range tokens {
		if _, err := d.ByToken(context.Background(), home, token); err != nil {
			t.Fatalf("token %d: %v", n, err)
		}
	}
	d.add(t, Wanted{Name: "neighbour", Role: "viewer"})
	d.verifier.waiting.Store(hashesWaiting) // no hash can be computed now
	for n, token := range tokens {
		if _, err := d.ByToken(context.Background(), home, token); err != nil {
			t.Errorf("token %d, after another account was made: %v", n, err)
		}
	}
}

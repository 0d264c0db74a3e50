// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestNobodyGuessesATokenOrACookie(t *testing.T) {
	d := openDoor(t)
	_, secret, _ := splitToken(d.add(t, Wanted{Name: "robot", Role: "viewer"}))
	d.addAnna(t)
	if cookie := d.login(t, "anna"); len(secret) < 26 || len(cookie) < 26 {
		t.Errorf("%d and %d characters can be guessed", len(secret), len(cookie))
	}
}

func TestANewPasswordIsAsGoodAsTheFirstAndForPeopleOnly(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	token := d.add(t, Wanted{Name: "robot", Role: "viewer"})
	if err := d.file.SetPassword("anna", "short"); err == nil {
		t.Error("a short password is taken")
	}
	if err := d.file.SetPassword("robot", password); err == nil {
		t.Error("a program gets a password")
	}
	if _, err := d.ByToken(context.Background(), home, token); err != nil {
		t.Error("its token:", err)
	}
}

func TestTwoTokensOfOneIdAreRefused(t *testing.T) {
	file := someFile(t)
	for _, name := range []string{"one", "two"} {
		if _, err := file.Add(Wanted{Name: name, Role: "viewer"}); err != nil {
			t.Fatal(err)
		}
	}
	accounts, _ := file.Read()
	text, _ := os.ReadFile(file.Path)
	if _, err := file.parse([]byte(strings.Replace(string(text), accounts[0].ID, accounts[1].ID, 1))); err == nil {
		t.Error("two tokens of one id are taken")
	}
}

func TestNoAccountHasARoleThatIsNone(t *testing.T) {
	for _, role := range []string{"public", "", "Admin"} {
		if _, err := RoleOf(role); err == nil {
			t.Errorf("%q is a role of an account", role)
		}
	}
}

func TestOneAddressLocksNobodyOutEverywhere(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	for range 3 * perName.burst {
		_, _, _ = d.Login(context.Background(), "198.51.100.1:1", "anna", "wrong horse battery") // is refused: a guess
	}
	if _, _, err := d.Login(context.Background(), "203.0.113.9:1", "anna", password); err != nil {
		t.Error("one address locks anna out everywhere:", err)
	}
}

func TestGuessesOfATokenAreFew(t *testing.T) {
	d := openDoor(t)
	token := d.add(t, Wanted{Name: "robot", Role: "viewer"})
	id, _, _ := splitToken(token)
	for range perToken.burst {
		_, err := d.ByToken(context.Background(), home, "vis_"+id+"_guess")
		d.refuses(t, "a guess", err, ErrUnknown)
	}
	if _, err := d.ByToken(context.Background(), home, token); !errors.As(err, &Throttled{}) {
		t.Errorf("after %d guesses: %v", perToken.burst, err)
	}
}

func TestOfTokensThatHoldFewAreRemembered(t *testing.T) {
	d := openDoor(t)
	robot := &Account{Name: "robot"}
	d.book.byName["robot"] = robot
	for n := range 2 * verifiedMost {
		d.trust(fmt.Sprint(n), robot)
	}
	if len(d.verified) > verifiedMost {
		t.Errorf("%d", len(d.verified))
	}
}

func TestOneNetworkIsOneGuesserHoweverManyAddressesItHas(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	if _, _, err := d.Login(context.Background(), "[fd12:3456:789a:1::10]:50000", "anna", password); err != nil {
		t.Fatal(err)
	}
	for n := range perAddress.burst + 1 {
		_, _, _ = d.Login(context.Background(), fmt.Sprintf("[fd12:3456:789a:1::bad:%x]:1", n), "anna", "wrong horse battery") // refused, too
	}
	if _, _, err := d.Login(context.Background(), "[fd12:3456:789a:1::bad:ff]:1", "anna", password); !errors.As(err, &Throttled{}) {
		t.Errorf("a toaster with many addresses guesses on: %v", err)
	}
}

func TestTwoAccountsOfOtherRightsAreNotTheSame(t *testing.T) {
	one := Account{Name: "anna", Role: "admin", Kind: Password, Hash: "h", Cameras: []string{"*"}}
	role, cameras := one, one
	role.Role, cameras.Cameras = "viewer", []string{"door"}
	if one.seal() == role.seal() || one.seal() == cameras.seal() {
		t.Error("the same")
	}
}

func TestTheLimitsAreThoseThatPeopleWereTold(t *testing.T) {
	if perAddress != (allowance{5, 12 * time.Second}) || perName != (allowance{20, 3 * time.Minute}) || perToken != (allowance{20, 3 * time.Second}) ||
		hashesAtOnce != 1 || hashesWaiting != 8 || ClaimLasts != 15*time.Minute || lookEach != time.Second || sessionsPerAccount != 32 {
		t.Error("these limits were weighed one against the other: change them on purpose, and this")
	}
}

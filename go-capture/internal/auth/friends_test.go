// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// attack guesses a name's password from many addresses until the name's limit is reached.
func (d *door) attack(t *testing.T, name string) {
	t.Helper()
	for n := range perName.burst + 1 {
		_, _, err := d.Login(context.Background(), fmt.Sprintf("198.51.100.%d:1", n), name, "wrong horse battery")
		if errors.As(err, &Throttled{}) {
			return
		}
		d.refuses(t, "a guess", err, ErrUnknown)
	}
	t.Error("guesses have no limit")
}

func TestAnAttackAfterARestartLocksNobodyOutWhoIsKnown(t *testing.T) {
	d := keptDoor(t)
	d.settings.Friends = filepath.Join(t.TempDir(), "sessions", "box.friends.json")
	d = d.startedAgain(t, 0)
	d.login(t, "anna")
	again := d.restarted(t, time.Minute)
	again.attack(t, "anna")
	again.login(t, "anna")
	if _, _, err := again.Login(context.Background(), "203.0.113.9:1", "anna", password); !errors.As(err, &Throttled{}) {
		t.Errorf("from where nobody has logged in: %v", err)
	}
	text, err := os.ReadFile(d.settings.Friends)
	if err != nil || strings.Contains(string(text), "anna") || strings.Contains(string(text), "192.0.2") {
		t.Errorf("the file: %s, %v", text, err)
	}
}

func TestADamagedFileOfFriendsCostsNoLogin(t *testing.T) {
	d := keptDoor(t)
	d.settings.Friends = filepath.Join(t.TempDir(), "friends.json")
	for _, text := range []string{"", "{}", "null", "[1]", `["` + strings.Repeat("a", fileBytesMost)} {
		if err := os.WriteFile(d.settings.Friends, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		again := d.startedAgain(t, time.Second)
		again.login(t, "anna")
		again.attack(t, "anna")
		again.login(t, "anna")
	}
}

func TestFriendsAreBoundedAndWhoHasNotComeForLongestGivesWay(t *testing.T) {
	var known friends
	for n := range friendsMost {
		known.add("anna", fmt.Sprint(n))
	}
	known.add("anna", "0") // comes again
	known.add("anna", "new")
	if len(known.known) != friendsMost || !known.hold("anna", "0") || !known.hold("anna", "new") || known.hold("anna", "1") || known.hold("ben", "0") {
		t.Errorf("%d are known", len(known.known))
	}
}

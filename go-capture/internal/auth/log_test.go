// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"os"
	"sync"
	"testing"

	"visavis/capture/internal/logtest"
)

func TestWhoIsLoggedInDoesNotWaitForALogThatHangs(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	cookie := d.login(t, "anna")
	robot := d.add(t, Wanted{Name: "robot", Role: "viewer"})
	// Who is let in is tested elsewhere: here only somebody must write to the log.
	for what, try := range map[string]func(){
		"a login":          func() { _, _, _ = d.Login(context.Background(), home, "anna", password) },
		"a wrong password": func() { _, _, _ = d.Login(context.Background(), home, "anna", "wrong horse battery") },
		"a wrong token":    func() { _, _ = d.ByToken(context.Background(), home, robot+"x") },
	} {
		t.Run(what, func(t *testing.T) {
			reached, goOn := logtest.Hang(t)
			var trying sync.WaitGroup
			trying.Add(1)
			go func() { defer trying.Done(); try() }()
			<-reached
			if _, err := d.BySession(cookie); err != nil {
				t.Error(err)
			}
			goOn()
			trying.Wait()
		})
	}
}

func TestADamagedFileAndALogThatHangsHoldUpNobody(t *testing.T) {
	d := openDoor(t)
	if err := os.WriteFile(d.file.Path, []byte("account = 7"), 0o600); err != nil {
		t.Fatal(err)
	}
	reached, goOn := logtest.Hang(t)
	looked := make(chan struct{})
	go func() { defer close(looked); d.look() }()
	<-reached
	_, err := d.BySession("of nobody")
	d.refuses(t, "a session", err, ErrUnknown)
	goOn()
	<-looked
}

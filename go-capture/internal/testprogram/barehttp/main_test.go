// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"regexp"
	"testing"
)

var date = regexp.MustCompile(`(?m)^Date: .*$`)

func TestItAnswersAsTheOtherServerDoes(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "1")
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintf(w, "this is %s\n", r.URL.Path)
	}))
	defer other.Close()
	one, err := answerOf(other.URL + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	copied := httptest.NewServer(one)
	defer copied.Close()
	if got, want := answered(t, copied.URL+"/"), answered(t, other.URL+"/healthz"); got != want {
		t.Errorf("the answer is\n%s\nwant\n%s", got, want)
	}
}

func TestARefusalIsNoAnswerToGive(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if _, err := answerOf(other.URL); err == nil {
		t.Error("it would answer 404")
	}
}

// answered is an answer as it is sent, but for its date.
func answered(t *testing.T, url string) string {
	t.Helper()
	got, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := httputil.DumpResponse(got, true)
	if err != nil {
		t.Fatal(err)
	}
	return date.ReplaceAllString(string(text), "Date: now")
}

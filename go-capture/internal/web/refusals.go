// SPDX-License-Identifier: Apache-2.0

package web

import (
	"maps"
	"net/http"
	"strconv"
	"strings"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/openapi"
	"visavis/capture/internal/problem"
)

// refusalWords describe what a status means wherever a route does not say it in words of its own.
var refusalWords = map[int]string{
	http.StatusBadRequest:         "A parameter or the body is malformed",
	http.StatusUnauthorized:       "This needs a login",
	http.StatusForbidden:          "You may not do this, or a page of another site asked for it",
	http.StatusNotFound:           "There is no such camera",
	http.StatusMisdirectedRequest: "This name is not served here",
	http.StatusUpgradeRequired:    "This is a WebSocket",
	http.StatusTooManyRequests:    "Too many tries: see Retry-After",
	http.StatusServiceUnavailable: "Not now: see Retry-After",
}

// refusalComponents are those of refusalWords, for operations to refer to.
func refusalComponents() object {
	answers := object{}
	for code, words := range refusalWords {
		answers[refusalName(code)] = openapi.Problem(words)
	}
	for _, code := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		answers[refusalName(code)] = openapi.Later(refusalWords[code])
	}
	upgrades := http.StatusUpgradeRequired
	answers[refusalName(upgrades)] = openapi.Upgrade(refusalWords[upgrades])
	for name, answer := range maps.Clone(answers) {
		told := maps.Clone(answer.(object))
		told["content"] = problem.InferenceContent()
		answers[inferencePrefix+name] = told
	}
	return answers
}

// inferencePrefix is that of refusals as the Open Inference Protocol has them.
const inferencePrefix = "Inference"

func refusalName(code int) string { return strings.ReplaceAll(http.StatusText(code), " ", "") }

// withRefusals adds to what an operation answers how it is refused; what it says itself counts.
func (s *Server) withRefusals(t route, answers object) object {
	all := object{}
	for _, code := range append(s.refusals(t), t.refuses...) {
		name := refusalName(code)
		if problem.OfInference(t.pattern) {
			name = inferencePrefix + name
		}
		all[strconv.Itoa(code)] = object{"$ref": "#/components/responses/" + name}
	}
	maps.Copy(all, answers)
	return all
}

// refusals follow from a route's line in the table: those of the guard, of a login that is missing, and of parameters.
func (s *Server) refusals(t route) []int {
	codes := []int{http.StatusForbidden, http.StatusMisdirectedRequest}
	if s.guards(t) {
		codes = append(codes, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable)
	}
	if len(t.query) > 0 || t.upgrades {
		codes = append(codes, http.StatusBadRequest)
	}
	if strings.Contains(t.pattern, "{id}") {
		codes = append(codes, http.StatusNotFound)
	}
	if t.upgrades {
		codes = append(codes, http.StatusUpgradeRequired)
	}
	return codes
}

// guards tells whether a route is not for everybody.
func (s *Server) guards(t route) bool { return s.settings.Auth != nil && t.least != auth.Public }

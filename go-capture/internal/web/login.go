// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/openapi"
	"visavis/capture/internal/problem"
)

const loginBytesMost = 4 << 10

// sessionAnswer says who is logged in; the page asks for it.
type sessionAnswer struct {
	Required bool     `json:"required"` // this device wants a login
	Claim    bool     `json:"claim"`    // it waits for its first administrator
	Logins   bool     `json:"logins"`   // people have logins already
	Name     string   `json:"name"`     // empty = nobody is logged in
	Role     string   `json:"role"`
	Cameras  []string `json:"cameras"` // "*" is every camera
}

func (s *Server) answerOf(who auth.Identity) sessionAnswer {
	gate := s.settings.Auth
	answer := sessionAnswer{Name: who.Name, Role: who.Role.String(), Cameras: append([]string{}, who.Cameras()...)}
	if gate != nil {
		answer.Required, answer.Claim, answer.Logins = true, gate.ClaimOpen(), gate.HasPeople()
	}
	return answer
}

// session answers whoever asks, also with who they are not: a page must be able to ask without a login.
func (s *Server) session(w http.ResponseWriter, r *http.Request) error {
	who, err := s.identify(r)
	if err != nil {
		who = auth.Identity{}
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.WriteJSON(w, r, problem.Answer{ContentType: jsonType, Status: http.StatusOK, Body: s.answerOf(who)})
	return nil
}

// credentials are the body of a login.
type credentials struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// login opens a session. Another site's page cannot send this: see guard, and JSON is nothing that a form can send.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	var asked credentials
	if err := readJSON(w, r, &asked); err != nil {
		return err
	}
	cookie, who, err := s.settings.Auth.Login(r.Context(), r.RemoteAddr, asked.Name, asked.Password)
	if err != nil {
		return unauthorized(w, err, "The name or the password is wrong.")
	}
	s.beginSession(w, r, cookie, who)
	return nil
}

func (s *Server) beginSession(w http.ResponseWriter, r *http.Request, cookie string, who auth.Identity) {
	_ = s.endSession(r) // of whoever was logged in before: where it cannot be forgotten the status says so, and who logs in now is let in
	http.SetCookie(w, s.cookie(r, cookie, int(s.settings.SessionMost.Seconds())))
	w.Header().Set("Cache-Control", "no-store")
	problem.WriteJSON(w, r, problem.Answer{ContentType: jsonType, Status: http.StatusOK, Body: s.answerOf(who)})
}

// claiming is the body of a claim.
type claiming struct {
	Code     string `json:"code"`
	Name     string `json:"name"`
	Password string `json:"password"`
}

// claim makes the first administrator of a device that was started without one.
func (s *Server) claim(w http.ResponseWriter, r *http.Request) error {
	var asked claiming
	if err := readJSON(w, r, &asked); err != nil {
		return err
	}
	name := strings.ToLower(strings.TrimSpace(asked.Name)) // as a login takes it
	first := auth.Wanted{Name: name, Password: asked.Password, Role: auth.Admin.String()}
	if err := first.Check(); err != nil {
		return refusal{Status: http.StatusUnprocessableEntity, Title: "This cannot be an account", Detail: err.Error()}
	}
	cookie, who, err := s.settings.Auth.Claim(r.Context(), r.RemoteAddr, asked.Code, first)
	if errors.Is(err, auth.ErrClaimed) {
		return refusal{Status: http.StatusGone, Title: "There is nothing to claim",
			Detail: "This device has an administrator, or its code was used or is older than 15 minutes: after a restart the log says what to do."}
	}
	if errors.Is(err, auth.ErrTaken) {
		return refusal{Status: http.StatusConflict, Title: "This cannot be an account", Detail: "There is somebody of this name already."}
	}
	if err != nil {
		return unauthorized(w, err, "The code is wrong.")
	}
	s.beginSession(w, r, cookie, who)
	return nil
}

// unauthorized is the refusal of a login in its own words, with the header that each 401 has.
func unauthorized(w http.ResponseWriter, err error, words string) error {
	refused := refusalOf(err)
	if refused.Status == http.StatusUnauthorized {
		refused.Detail = words
		w.Header().Set("WWW-Authenticate", `Bearer realm="visavis"`)
	}
	return refused
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	err := s.endSession(r)
	http.SetCookie(w, s.cookie(r, "", -1))
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		return refusal{Status: http.StatusInternalServerError, Title: "The logout may not last",
			Detail: "The session has ended, but it holds again after a restart of visavis: " + err.Error() + "."}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) endSession(r *http.Request) error {
	cookie, err := r.Cookie(s.cookieName(r))
	if err != nil {
		return nil // nobody was logged in
	}
	return s.settings.Auth.Logout(cookie.Value)
}

// cookieName holds the device's: browsers send cookies to every port of a host, and two devices may be on one.
func (s *Server) cookieName(r *http.Request) string {
	if encrypted(r) {
		return "__Host-visavis_" + s.settings.Device
	}
	return "visavis_" + s.settings.Device
}

func (s *Server) cookie(r *http.Request, value string, maxAgeS int) *http.Cookie {
	return &http.Cookie{Name: s.cookieName(r), Value: value, Path: "/", MaxAge: maxAgeS, HttpOnly: true, Secure: encrypted(r),
		SameSite: http.SameSiteStrictMode}
}

// readJSON reads a small body of exactly the fields that there are.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != jsonType {
		return refusal{Status: http.StatusUnsupportedMediaType, Title: "This is not JSON", Detail: "Send Content-Type: application/json."}
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, loginBytesMost))
	decoder.DisallowUnknownFields()
	if decoder.Decode(into) != nil || decoder.Decode(&struct{}{}) != io.EOF { // the decoder's words may hold the password
		return refusal{Status: http.StatusBadRequest, Title: "The body is not what is wanted",
			Detail: fmt.Sprintf("Send one JSON object of at most %d bytes; /openapi.json has its fields.", loginBytesMost)}
	}
	return nil
}

var loginRefusals = []int{http.StatusBadRequest, http.StatusTooManyRequests, http.StatusServiceUnavailable}

// loginRoutes are there only when the device wants a login.
func (s *Server) loginRoutes() []route {
	if s.settings.Auth == nil {
		return nil
	}
	return []route{
		{pattern: "/api/v1/login", method: http.MethodPost, least: auth.Public, documents: true, refuses: loginRefusals, described: loginOperation(), handle: s.login},
		{pattern: "/api/v1/claim", method: http.MethodPost, least: auth.Public, documents: true, refuses: loginRefusals, described: claimOperation(), handle: s.claim},
		{pattern: "/api/v1/logout", method: http.MethodPost, least: auth.Public, documents: true, described: logoutOperation(), handle: s.logout},
	}
}

func loginOperation() object {
	return sessionOperation("Log in: the answer sets the session's cookie", "name", "password")
}

func claimOperation() object {
	operation := sessionOperation("Become the first administrator with the code that the device's log shows once", "code", "name", "password")
	answers := operation["responses"].(object)
	answers["409"], answers["422"] = openapi.Problem("There is somebody of this name"), openapi.Problem("This cannot be an account")
	answers["410"] = openapi.Problem("There is an administrator, or the code is too old")
	return operation
}

// sessionOperation describes a route that takes some texts and opens a session.
func sessionOperation(summary string, fields ...string) object {
	properties := object{}
	for _, field := range fields {
		properties[field] = object{"type": "string"}
	}
	body := object{"type": "object", "required": fields, "additionalProperties": false, "properties": properties}
	answers := sessionAnswers()
	answers["401"], answers["415"] = openapi.Problem("One of them is wrong"), openapi.Problem("This is not JSON")
	return object{
		"summary":     summary,
		"requestBody": object{"required": true, "content": object{jsonType: object{"schema": body}}},
		"responses":   answers,
	}
}

// sessionAnswers describes a sessionAnswer.
func sessionAnswers() object {
	text, flag := object{"type": "string"}, object{"type": "boolean"}
	schema := object{"type": "object", "required": []string{"required", "claim", "logins", "name", "role", "cameras"}, "additionalProperties": false,
		"properties": object{
			"required": flag, "claim": flag, "logins": flag, "name": text, "role": text, "cameras": object{"type": "array", "items": text},
		}}
	return object{
		"200": object{"description": "Who is logged in", "content": object{jsonType: object{"schema": schema}}},
	}
}

func logoutOperation() object {
	return object{"summary": "Log out: the session and what it has open end",
		"responses": object{
			"204": object{"description": "Nobody is logged in"},
			"500": openapi.Problem("The session has ended, and holds again after a restart: the disk takes nothing"),
		}}
}

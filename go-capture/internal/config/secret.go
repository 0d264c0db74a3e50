// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"visavis/capture/internal/secretfile"
)

const (
	secretRemedy = "write the secret into a file of its own, and here the file's whole path, such as /etc/visavis/mqtt.password"
	secretReason = "names no file that can be read, and is not repeated here, because it may be the secret itself"
)

// NoSecretFile tells that a secret's file is not there, for a setting of which only a start finds that out; the cause is not repeated
// as os has it, for it contains the path.
func NoSecretFile(setting string, cause error) error {
	return fmt.Errorf("%s: %s: %w; %s", setting, secretReason, errors.Unwrap(cause), secretRemedy)
}

// namesFile tells whether a setting is plainly the path of a file, or a credential. Of anything else nobody knows whether it is not
// the secret itself, written where the path of its file belongs.
func namesFile(s setting, k rule) bool {
	text, isText := s.value.(string)
	if name, asked := strings.CutPrefix(text, credentialPrefix); asked {
		return credentialName.MatchString(name)
	}
	for _, begin := range []string{"/", "./", "../"} {
		if strings.HasPrefix(text, begin) {
			return true
		}
	}
	if !isText || text == "" {
		return isText
	}
	_, err := os.Lstat(resolved(s, k).(string))
	return err == nil
}

// checkSecret looks at what stands in a secret's file, where it may. Whether that can be read was asked before.
func (r *reader) checkSecret(key, path string, of func([]byte) (string, error)) {
	if path == "" || r.blind || r.starts || isCredential(path) || r.refused(key) {
		return
	}
	text, err := os.ReadFile(path)
	if err == nil {
		_, err = of(text)
	}
	if flaw := (secretfile.Flaw{}); errors.As(err, &flaw) {
		r.blame(key, path+": "+flaw.Reason, flaw.Remedy)
	}
}

// ownSecret tells whether a worker asks that will read the file itself: what it is told stands in its command line, for all to see.
func (r *reader) ownSecret(s setting) bool {
	return r.blind && strings.HasPrefix(s.key, workersSection)
}

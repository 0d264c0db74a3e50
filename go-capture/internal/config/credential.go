// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	workersSection     = "detector."
	credentialPrefix   = "credential:"
	credentialsVar     = "CREDENTIALS_DIRECTORY" // set by systemd for each service of its own
	credstore          = "/etc/credstore"        // from where systemd takes what a unit names without a path
	credentialsExample = "LoadCredential=mqtt.password:/etc/visavis/mqtt.password"
)

// credentialName is stricter than systemd's, so that no name leads out of the folder.
var credentialName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$`)

// credentialsFolder is where systemd puts the credentials of the service that env belongs to; "" outside systemd.
func credentialsFolder(env []string) string { return variable(env, credentialsVar) }

// variable is one of env, "" when it is not there.
func variable(env []string, name string) string {
	for _, entry := range env {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}

// isCredential tells whether a value is the name of a credential that has not become a file.
func isCredential(value any) bool {
	text, _ := value.(string)
	return strings.HasPrefix(text, credentialPrefix)
}

// credential turns credential:NAME, which may stand for any file that is read, into the file that systemd made of it.
func (r *reader) credential(s setting, k rule) (setting, *refusal) {
	text, _ := s.value.(string)
	name, asked := strings.CutPrefix(text, credentialPrefix)
	foreign := r.unasked || r.blind && (r.secrets == "" || !strings.HasPrefix(s.key, workersSection))
	if !asked || k.format != "readable_file" || foreign {
		return s, nil
	}
	if !credentialName.MatchString(name) {
		return s, refuse("write credential: and the name in LoadCredential=, such as credential:mqtt.password", "what follows credential: is not the name of a credential")
	}
	folder := r.secrets
	if folder == "" {
		folder = credstore // by hand, for whoever may read it
	}
	s.value = filepath.Join(folder, name)
	if _, err := os.Stat(s.value.(string)); err != nil && r.secrets == "" {
		return s, refuse("put "+credentialsExample+" into the unit; to check by hand, set "+credentialsVar+" to the folder with the file, or be root where it lies in "+credstore,
			"systemd gives this program no credentials")
	}
	return s, nil
}

// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

var errSilent = errors.New("the broker gives no answer")

// refused says why there is no connection and which setting to look at.
func (s Settings) refused(err error) error {
	err = cause(err)
	return fmt.Errorf("connect to %s: %w: %s", s.URL, err, s.named(s.remedy(err)))
}

// cause takes away paho's "network Error", which says nothing, and the nil that it wraps when the answer cannot be read.
func cause(err error) error {
	if !errors.Is(err, packets.ErrorNetworkError) {
		return err
	}
	if both, ok := err.(interface{ Unwrap() []error }); ok && len(both.Unwrap()) > 1 {
		return both.Unwrap()[1]
	}
	return errSilent
}

// fromAnyPort is what an error says without the port that we had by chance: each try has another, and would be news in the log.
func fromAnyPort(err error) string {
	var op *net.OpError
	if !errors.As(err, &op) || op.Source == nil {
		return err.Error()
	}
	return strings.ReplaceAll(err.Error(), op.Source.String()+"->", "")
}

// remedy names the setting behind a refusal. Names and dates of certificates are in the error itself.
func (s Settings) remedy(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		dial    *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return "set mqtt.ca to a file with the certificate of the CA that signed the broker's"
	case errors.As(err, &name):
		return "write a name that the broker's certificate holds into mqtt.url"
	case errors.As(err, &invalid):
		return "set the clock of this device, or renew the broker's certificate"
	case errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword), errors.Is(err, packets.ErrorRefusedNotAuthorised):
		return "check mqtt.user and the password in the file of mqtt.password_file; it is read again at every try"
	case errors.As(err, &dial) && dial.Op == "dial":
		return "check mqtt.url, and that the broker runs"
	}
	if strings.HasPrefix(s.URL, "ws") {
		return "check mqtt.url: the port of the broker's WebSockets and their path, often /mqtt; ws:// without TLS, wss:// with it"
	}
	return "check mqtt.url (mqtt:// and mostly port 1883, or mqtts:// and 8883), and mqtt.cert and mqtt.key if the broker wants them"
}

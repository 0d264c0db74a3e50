// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"visavis/capture/internal/waiting"
)

// A certificate names an address, and a zone is this machine's own word for the way there.
func TestTheCertificateOfALinkLocalBrokerNeedsNoZone(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	here, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = server.Listener.Close()
	server.Listener = here
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	host := strings.Replace(here.Addr().String(), "]", "%lo]", 1)
	d := &dialer{ctx: t.Context(), tls: &tls.Config{RootCAs: roots}, most: waiting.Most}
	connection, err := d.dial(&url.URL{Scheme: "ssl", Host: host})
	if err != nil {
		t.Fatal(err)
	}
	_ = connection.Close()
	if _, err := d.dial(&url.URL{Scheme: "wss", Host: host}); err == nil || asked.Load() != 1 {
		t.Errorf("%d requests reached what speaks no WebSocket: %v", asked.Load(), err)
	}
}

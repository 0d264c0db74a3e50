// SPDX-License-Identifier: Apache-2.0

// Package brokeraddress takes the addresses of brokers apart.
package brokeraddress

import (
	"cmp"
	"net"
	"net/url"
	"strings"

	"visavis/capture/internal/hostname"
)

// Scheme is how a broker of that scheme is spoken to.
type Scheme struct {
	Dials  string // what paho calls it
	Port   string // where such a broker listens whose address names none
	Secure bool
}

// Schemes are those of mqtt.url.
var Schemes = map[string]Scheme{
	"mqtt":  {"tcp", "1883", false},
	"mqtts": {"ssl", "8883", true},
	"ws":    {"ws", "80", false},
	"wss":   {"wss", "443", true},
}

// Place is where a broker is, the same for all ways of writing its address. The scheme is the one that is dialled.
type Place struct{ Scheme, Host, Port, Path string } // the path as it is escaped: a slash that is written %2F is no slash

// Of reads an address as in mqtt.url, or as it is dialled. What is none is a place of its own.
func Of(address string) Place {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return Place{Path: address}
	}
	known := Schemes[u.Scheme]
	return Place{
		Scheme: cmp.Or(known.Dials, u.Scheme), Host: hostname.Plain(u.Hostname()), Port: cmp.Or(u.Port(), known.Port), Path: strings.Trim(u.EscapedPath(), "/"),
	}
}

// String is the address that is dialled.
func (p Place) String() string {
	path, err := url.PathUnescape(p.Path)
	if err != nil {
		path = p.Path // of what is no address
	}
	return (&url.URL{Scheme: p.Scheme, Host: net.JoinHostPort(p.Host, p.Port), Path: path, RawPath: p.Path}).String()
}

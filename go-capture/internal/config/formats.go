// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"visavis/capture/internal/clientnet"
	"visavis/capture/internal/hostname"
)

// formats are the checks that contracts/config.toml names. None of them sees an empty text.
var formats = map[string]func(string) *refusal{
	"listen":        checkListen,
	"mqtt_url":      checkMQTT,
	"kserve_url":    checkKServe,
	"readable_file": checkReadable,
	"socket":        checkSocket,
	"network":       checkNetwork,
	"host":          checkHost,
	"source":        func(text string) *refusal { _, bad := parseSource(text); return bad },
}

const socketBytesMost = 107 // what sockaddr_un holds

func checkListen(text string) *refusal {
	const remedy = "write for example 127.0.0.1:8080"
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return refuse(remedy, "%q is not address:port", text)
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil {
		return refuse(remedy, "the port %q is not a number up to 65535", port)
	} else if strconv.FormatUint(number, 10) != port {
		return refuse(remedy, "the port %q begins with a zero", port)
	}
	if host == "localhost" {
		return nil
	}
	if address := net.ParseIP(host); address == nil && host != "" {
		return refuse(remedy, "%q is not an IP address", host)
	}
	return nil
}

// BeyondLoopback tells whether other machines can reach the page.
func (c *Config) BeyondLoopback() bool { return beyondLoopback(c.Web.Listen) }

// beyondLoopback is true of no address at all.
func beyondLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	address := net.ParseIP(host)
	return err == nil && host != "localhost" && (address == nil || !address.IsLoopback())
}

func checkMQTT(text string) *refusal {
	if text == "managed" {
		return nil
	}
	const remedy = `write mqtt://host:1883, mqtts://host:8883, ws://host:9001, wss://host:443/mqtt, "managed" or ""`
	address, bad := checkURL(text, remedy, "mqtt", "mqtts", "ws", "wss")
	if bad != nil {
		return bad
	}
	if web := strings.HasPrefix(text, "ws"); !web && strings.Trim(address.Path, "/") != "" {
		return refuse(remedy, "the address of a broker ends with the port")
	}
	if address.RawQuery+address.Fragment != "" {
		return refuse(remedy, "the address of a broker has no ? or #: what stands there would end up in logs")
	}
	return nil
}

func checkKServe(text string) *refusal {
	const remedy = "write for example https://triton:8000 or grpc://triton:8001"
	address, bad := checkURL(text, remedy, "http", "https", "grpc", "grpcs")
	if bad == nil && address.RawQuery+address.Fragment != "" {
		return refuse(remedy+", and a token into the file of kserve_token_file", "the address of a model server has no ? or #: what stands there would end up in logs")
	}
	return bad
}

// checkURL never shows the address itself: it may hold a password.
func checkURL(text, remedy string, schemes ...string) (*url.URL, *refusal) {
	scheme, _, found := strings.Cut(text, "://")
	allowed := false
	for _, one := range schemes {
		allowed = allowed || found && scheme == one
	}
	if !allowed {
		return nil, refuse(remedy, "it does not begin with %s://", strings.Join(schemes, ":// or "))
	}
	address, err := url.Parse(text)
	if err != nil {
		return nil, refuse(remedy, "it is not a valid address")
	}
	if address.User != nil {
		return nil, refuse("put them into the keys user and password_file", "an address with user or password ends up in logs")
	}
	if port, err := strconv.Atoi(address.Port()); address.Port() != "" && (err != nil || port < 1 || port > 65535) {
		return nil, refuse(remedy, "the port is not 1 to 65535")
	}
	if address.Hostname() == "" {
		return nil, refuse(remedy, "it names no host")
	}
	if _, err := hostname.ASCII(address.Hostname()); err != nil {
		return nil, refuse(remedy, "its host is no name that can be looked up")
	}
	return address, nil
}

func checkNetwork(text string) *refusal {
	if _, err := clientnet.ParseNetwork(text); err != nil {
		return refuse("write an address such as 10.0.0.5, or a network such as 10.0.0.0/8", "%v", err)
	}
	return nil
}

// hostPattern lets underscores in, which nginx has in the names of its upstreams.
var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?$`)

func checkHost(text string) *refusal {
	address, err := netip.ParseAddr(text)
	if hostPattern.MatchString(text) || err == nil && address.Zone() == "" { // a zone says something on one machine only
		return nil
	}
	return refuse("write a host name such as porch.example.org, or an address such as 192.0.2.7 or 2001:db8::7, without scheme, port and brackets",
		"%s is not allowed", written(text))
}

func checkReadable(path string) *refusal {
	const remedy = "name a file that the user that runs visavis may read"
	info, err := os.Stat(path)
	if err != nil {
		return refuse(remedy, "%s cannot be read: %v", path, cause(err))
	}
	if !info.Mode().IsRegular() {
		return refuse(remedy, "%s is not a file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return refuse(remedy, "%s cannot be read: %v", path, cause(err))
	}
	_ = file.Close() // only opened to see whether that is allowed
	return nil
}

func checkSocket(path string) *refusal {
	if len(path) > socketBytesMost {
		return refuse("choose a shorter path", "a socket's path has at most %d bytes, this has %d", socketBytesMost, len(path))
	}
	return nil
}

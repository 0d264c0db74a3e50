#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes whom the image below a root trusts: the authorities of Debian's package. The file of all in /etc may have one beside them that the
# builder alone trusts, as of a proxy.
set -eu
all=$1/etc/ssl/certs/ca-certificates.crt

install -d -m 0755 "${all%/*}"
cat /usr/share/ca-certificates/mozilla/*.crt >"$all"
chmod 0644 "$all"

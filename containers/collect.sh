#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts the daemon with everything that it needs, and nothing else, below a folder that becomes the root of its image.
set -eu
root=$1
shift # the others are the folders of its processor's libraries
add() { install -D -m "$(stat -L -c %a "$1")" "$1" "$root$1"; }

add /usr/bin/visavis-capture
loaded=$("$(dirname "$0")/libraries.sh" /usr/bin/visavis-capture "$@")
for file in $loaded; do add "$file"; done
"$(dirname "$0")/authorities.sh" "$root"
install -D -m 0755 /bin/busybox "$root/bin/busybox" # for the health check alone
install -D -m 0644 -t "$root/usr/lib/visavis/demo" ../build/demo/*
mkdir -p "$root/etc" "$root/tmp" "$root/etc/visavis"
chmod 1777 "$root/tmp"
printf 'visavis:x:10001:10000::/var/lib/visavis:/none\n' >"$root/etc/passwd"
printf 'visavis:x:10000:\n' >"$root/etc/group"
# The authorities are of the package that has the program for them, and of Go the program has the runtime in it.
# shellcheck disable=SC2086 # it is a list
"$(dirname "$0")/licences.sh" "$root" $loaded /bin/busybox /usr/sbin/update-ca-certificates "$(command -v go)"
install -d -o 10001 -g 10000 -m 0770 "$root/run/visavis"
install -d -o 10001 -g 10000 -m 0700 "$root/var/lib/visavis" "$root/var/lib/visavis-credentials"

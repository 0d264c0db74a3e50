#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts the terms of everything in the daemon's image below its root: ours, those of the Go modules in the program, and those of the Debian
# packages that the given files are of. `licences.sh ROOT FILE...`, in the daemon's module.
set -eu
root=$1
shift
documents=$root/usr/share/doc
ours=$documents/visavis

# The package of a file. dpkg knows some by where they were before /usr was merged; of a diversion it tells in other words.
package_of() {
	file=$(realpath "$1")
	package=$(dpkg -S "$file" "${file#/usr}" 2>/dev/null | sed -nE 's/^([^ ,]+)(, [^:]+.*)?: .*/\1/p' | sed q)
	if [ -z "$package" ]; then
		echo "licences.sh: $1 is of no package, so nobody knows its terms" >&2
		return 1
	fi
	echo "$package"
}

# What a package and those inside it were made from, as `source (= version)`.
sources_of() {
	dpkg-query -W -f '${source:Package} (= ${source:Version})\n${Built-Using}\n' "$@" | sed 's/, */\n/g' | sed '/^$/d' | sort -u
}

# The files of a Go module that tell its terms.
terms_of() {
	find "$1" -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'patents*' \) -printf '%P\n'
}

packages=
for file in "$@"; do
	package=$(package_of "$file")
	packages="$packages $package"
	install -D -m 0644 "/usr/share/doc/${package%:*}/copyright" "$documents/${package%:*}/copyright"
done
mkdir -p "$ours"
# shellcheck disable=SC2086 # it is a list
sources_of $packages >"$ours/debian-sources"
cp -a /usr/share/common-licenses "$root/usr/share/" # most refer to these

install -m 0644 ../LICENSE "$ours/"
modules=$(go list -deps -f '{{with .Module}}{{if .Version}}{{.Path}} {{.Dir}}{{"\n"}}{{end}}{{end}}' ./cmd/visavis-capture)
printf '%s\n' "$modules" | sed '/^$/d' | sort -u | while read -r module folder; do
	terms=$(terms_of "$folder")
	if [ -z "$terms" ]; then
		echo "licences.sh: the module $module tells no terms" >&2
		exit 1
	fi
	for name in $terms; do install -D -m 0644 "$folder/$name" "$ours/go/$module/$name"; done
done

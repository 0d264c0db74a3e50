#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints what a program loads when it starts: its loader, and the libraries where that finds them. Nothing is run, so the program may be
# for another processor. The other arguments are the folders into which its loader looks.
set -eu

# The names in a file's entries of one kind.
entries() { LC_ALL=C "${READELF:-readelf}" -dW "$2" | sed -nE "s/.*\(($1)\).*\[(.*)\]$/\2/p"; }

# Where a file wants its libraries to be looked for before anywhere else.
own_folders() { entries 'RPATH|RUNPATH' "$1" | tr : '\n' | sed "s|[$]ORIGIN|$(dirname "$1")|"; }

# The library of a name, in the first folder that has it.
find_library() {
	name=$1
	shift
	for folder in "$@"; do
		if [ -e "$folder/$name" ]; then
			echo "$folder/$name"
			return
		fi
	done
	echo "libraries.sh: $name is in none of $*: install its package for the program's processor" >&2
	return 1
}

program=$1
shift
folders=$*
loader=$(LC_ALL=C "${READELF:-readelf}" -lW "$program" | sed -n 's/.*program interpreter: \(.*\)\]$/\1/p')
if [ -z "$loader" ]; then
	echo "libraries.sh: $program is no program that loads libraries" >&2
	exit 1
fi
echo "$loader"
seen=" ${loader##*/} "
set -- "$program" # and each library, until all have been looked into
while [ $# -gt 0 ]; do
	own=$(own_folders "$1")
	for name in $(entries NEEDED "$1"); do
		case $seen in *" $name "*) continue ;; esac
		seen="$seen$name "
		# shellcheck disable=SC2086 # they are lists
		file=$(find_library "$name" $own $folders)
		echo "$file"
		set -- "$@" "$file"
	done
	shift
done

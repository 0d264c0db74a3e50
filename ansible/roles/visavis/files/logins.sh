# SPDX-License-Identifier: Apache-2.0
# Writes who may log in, from standard input, into the folder $1; with `look` as $2 it only says whether it would. It is run as the
# daemon's user, whose the folder is: whatever that one has put there, root follows no link of it.
set -eu
umask 077
trap 'cat >/dev/null' EXIT # who writes to us finds a reader until the end, whatever comes
same() { [ -f credentials.toml ] && [ ! -L credentials.toml ] && cmp -s "$1" credentials.toml; }

if [ "$2" = look ]; then
	{ cd "$1" 2>/dev/null && same -; } || echo written
	exit 0
fi
cd "$1"
rm -rf .credentials.new
cat >.credentials.new
sync .credentials.new
if same .credentials.new; then
	chmod 0600 credentials.toml
	rm .credentials.new
else
	mv -fT .credentials.new credentials.toml
	echo written
fi

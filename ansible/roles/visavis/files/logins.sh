# SPDX-License-Identifier: Apache-2.0
# Writes who may log in, from standard input, into the folder $1. It is run as the daemon's user, whose the folder is: whatever that one
# has put there, root follows no link of it.
set -eu
umask 077
cd "$1"
rm -rf .credentials.new
cat >.credentials.new
sync .credentials.new
if [ -f credentials.toml ] && [ ! -L credentials.toml ] && cmp -s .credentials.new credentials.toml; then
	chmod 0600 credentials.toml
	rm .credentials.new
else
	mv -fT .credentials.new credentials.toml
	echo written
fi

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a program of the pinned Ansible in ansible/: `scripts/ansible.sh ansible-playbook -i inventory/home site.yml`; `lint` holds the
# playbooks to ansible-lint's strictest profile. `make lint` installs it.
set -euo pipefail
cd "$(dirname "$0")/../ansible"

site=$PWD/../build/servers/ansible/site
if [ ! -x "$site/bin/ansible-playbook" ]; then
	if [ "${1:-}" = lint ] && ../.venv/bin/python -c 'import sys; sys.exit(sys.version_info >= (3, 11))'; then
		echo "lint: ansible/ is left out: ansible-lint needs Python 3.11 or newer, and .venv has an older one" >&2
		exit 0
	fi
	echo "ansible: it is not in build/servers/ansible: run \`make lint\` with Python 3.11 or newer, which installs it" >&2
	exit 1
fi
export PATH="$site/bin:$PWD/../.venv/bin:$PATH" PYTHONPATH="$site"
[ "${1:-}" = lint ] && set -- ansible-lint -q
exec "$@"

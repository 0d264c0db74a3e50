#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the recipes of docs/how-to/own-model.md need (argument: torch, 4 GB, or tensorflow, 1.5 GB) into
# build/export/, pinned by hash, so that tests/unit/test_export_recipes.py runs them. The product needs neither.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
torch | tensorflow) ;;
*) echo "usage: scripts/export_tools.sh torch|tensorflow" >&2 && exit 2 ;;
esac
folder=build/export/$1
pins=requirements/export-$1.txt
sums=$(sha256sum <"$pins")
[ "$(cat "$folder/installed" 2>/dev/null)" != "$sums" ] || exit 0
rm -rf "$folder"
python3 -m venv "$folder"
"$folder/bin/pip" install --disable-pip-version-check -q --require-hashes -r "$pins"
echo "$sums" >"$folder/installed"

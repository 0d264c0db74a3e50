#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the value of CGO_CXXFLAGS that GoCV needs to compile against the OpenCV that is installed; nothing from 4.6 on.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
if pkg-config --max-version=4.5.99 opencv4 2>/dev/null; then
	echo "-O2 -g -include $here/go-capture/compat/opencv45.h"
fi

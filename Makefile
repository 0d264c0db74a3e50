# SPDX-License-Identifier: Apache-2.0
# `make` lists what there is. Every target does its own set-up: a fresh machine needs Go and Python, nothing else by hand.

SHELL := /bin/bash
.DEFAULT_GOAL := help

export VISAVIS_CACHE_DIR ?= $(CURDIR)/.cache/visavis
export VISAVIS_STATE_DIR ?= $(CURDIR)/.cache/state
VISAVIS_HTTP_PORT ?= 8080
VISAVIS_MQTT_PORT ?= 1883
CAMERA ?=
export VISAVIS_HTTP_PORT VISAVIS_MQTT_PORT CAMERA

GO_TAGS := gocv_specific_modules,gocv_imgproc,gocv_imgcodecs,gocv_videoio
# In the tests GoCV keeps count of the pictures in OpenCV's memory that nobody has closed.
GO_TEST_TAGS := $(GO_TAGS),matprofile
# Asked for when a recipe runs: set-up may only then have installed OpenCV.
OPENCV_FLAGS = CGO_CXXFLAGS="$$(scripts/opencv_flags.sh)"
PYTHON := .venv/bin/python
PYTEST_VM = VISAVIS_DEVICE_PAGE=docs/reference/device.md $(PYTHON) -m pytest

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

.PHONY: setup
setup: ## install what is missing, build the daemon, prepare the model
	@scripts/setup.sh run

.PHONY: setup-test
setup-test:
	@scripts/setup.sh test

.PHONY: run
run: setup ## start visavis in the foreground; CAMERA=/dev/video0 for a real camera, Ctrl-C ends it
	@exec .venv/bin/visavis run

.PHONY: test
test: setup-test ## run every test that needs no special hardware
	export $(OPENCV_FLAGS) && cd go-capture && go vet -race -tags $(GO_TEST_TAGS) ./... && go test -race -tags $(GO_TEST_TAGS) ./...
	$(PYTHON) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# So that two processes end at about the same time.
LONGEST_FIRST = $(addprefix tests/vm/,test_image.py test_update.py test_package.py test_compose.py)

.PHONY: test-vm
test-vm: ## test cameras, package, image, updates and compose.yaml in virtual machines (QEMU): half an hour without KVM, more the first time
	@scripts/setup.sh vm
	@$(MAKE) --no-print-directory image
	@# Cameras by themselves: how fast an outage is noticed shows only where a processor is free.
	@failed=0; \
	$(PYTEST_VM) -m "vm and not vm_long" -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/vm/test_cameras.py $(LONGEST_FIRST) tests/vm || failed=1; \
	$(PYTEST_VM) -m "vm and not vm_long" -s tests/vm/test_cameras.py || failed=1; \
	exit $$failed

.PHONY: test-vm-long
test-vm-long: ## run the tests that take hours: Debian 12 and arm64, a fleet, systems that do not boot, power cuts, cameras unplugged a hundred times
	@scripts/setup.sh vm
	@$(MAKE) --no-print-directory image
	@$(MAKE) --no-print-directory image BOARD=rpi5
	@$(MAKE) --no-print-directory image BOARD=rpi4
	@$(MAKE) --no-print-directory image BOARD=generic-arm64
	$(PYTEST_VM) -m vm_long -s tests

.PHONY: test-ha
test-ha: ## test with two releases of Home Assistant; the first run installs them
	@scripts/setup.sh ha
	$(PYTHON) -m pytest -m ha -s tests/ha

.PHONY: test-adapters
test-adapters: ## test with Node-RED, Telegraf, InfluxDB and Prometheus; the first run installs them
	@scripts/setup.sh adapters
	$(PYTHON) -m pytest -m adapters tests/adapters

.PHONY: test-export
test-export: setup-test ## run the recipes of docs/how-to/own-model.md with PyTorch and TensorFlow; the first run installs them (5.5 GB)
	scripts/export_tools.sh torch
	scripts/export_tools.sh tensorflow
	$(PYTHON) -m pytest tests/unit/test_export_recipes.py

.PHONY: lint lint-go lint-python lint-ansible
lint: setup-test ## check contracts, formatting, types and style
	$(PYTHON) contracts/generate.py --check
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint-go lint-python lint-ansible

# With -trimpath as the daemon is built: GoCV is compiled once for both.
lint-go:
	cd go-capture && test -z "$$(gofmt -l .)" || { gofmt -l .; echo "lint: run gofmt -w in go-capture on the files above" >&2; exit 1; }
	export $(OPENCV_FLAGS) GOFLAGS=-trimpath && cd go-capture && go tool -modfile=../scripts/tools/go.mod staticcheck -tags $(GO_TAGS) ./...

lint-python:
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/mypy

lint-ansible:
	scripts/ansible.sh lint

.PHONY: gen
gen: setup-test ## generate code and pages from contracts/
	$(PYTHON) contracts/generate.py
	$(PYTHON) contracts/inference.py

.PHONY: bench
bench: setup-test ## measure visavis beside its rivals; writes docs/reference/performance.md
	$(PYTHON) tests/bench/run.py

.PHONY: bench-gateway
bench-gateway: setup-test ## measure the gateway beside Flask, gunicorn, FastAPI and Celery; writes docs/reference/gateway.md
	@scripts/setup.sh bench-gateway
	$(PYTHON) -m tests.bench.gateway.run

.PHONY: bench-containers
bench-containers: ## measure image sizes and container starts beside those of Flask, FastAPI and Celery; writes docs/reference/containers.md
	@scripts/setup.sh vm
	$(PYTHON) -m tests.bench.containers

.PHONY: bench-gpu
bench-gpu: setup-test ## check and time TensorRT on an NVIDIA GPU; writes docs/reference/gpu.md
	$(PYTHON) tests/tensorrt/on_gpu.py

.PHONY: chaos
chaos: setup-test ## try long outages, full disks and overload; writes docs/design/outbox.md and resilience.md
	$(PYTHON) tests/chaos/outbox_report.py
	$(PYTHON) tests/chaos/gateway_report.py

.PHONY: soak
soak: setup-test ## use an appliance for SOAK_HOURS (8 unless set) and say whether memory, threads or descriptors grow
	$(PYTHON) tests/bench/soak.py

.PHONY: fuzz
fuzz: setup-test ## run each fuzz target for FUZZ_SECONDS (10 unless set)
	@export $(OPENCV_FLAGS) && $(PYTHON) tests/fuzz/run.py

.PHONY: deb
deb: ## build packages for Debian 12 and 13, amd64 and arm64, into build/deb
	@scripts/setup.sh vm
	$(PYTHON) -m deb.build

APT_URL ?= file://$(CURDIR)/build/apt
.PHONY: apt-repo
apt-repo: ## sign a repository of the packages in build/deb: KEY="name of a gpg key" APT_URL=https://host/apt
	@test -n "$(KEY)" || { echo 'apt-repo: KEY="..." names the gpg key that signs; docs/how-to/install.md says how to make one' >&2; exit 1; }
	@scripts/setup.sh vm
	$(PYTHON) -m deb.repository --key "$(KEY)" --url "$(APT_URL)"

.PHONY: release
release: ## make packages, and images with bundles for BOARDS="rpi5 ...", and sign them with KEYS=visavis-keys; into build/release
	@test -n "$(KEYS)" || { echo 'release: KEYS=... names the folder of keys that `visavis update keys` has made; docs/how-to/release.md says more' >&2; exit 1; }
	@scripts/setup.sh vm
	PYTHONPATH=firmware-image $(PYTHON) -m image.release --keys "$(KEYS)" --boards $(BOARDS)

.PHONY: image
image: ## build an image for BOARD=generic-amd64, generic-arm64, rpi4, rpi5 or jetson-orin, into build/image; KEYRING=FILE: certificate to check updates with
	@scripts/setup.sh vm
	PYTHONPATH=firmware-image $(PYTHON) $(if $(filter jetson-orin,$(BOARD)),-m image.jetson,-m image.build --board $(or $(BOARD),generic-amd64)) $(if $(KEYRING),--keyring "$(KEYRING)") $(ARGS)

.PHONY: clean
clean: ## remove what set-up, builds and tests made here
	rm -rf build .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

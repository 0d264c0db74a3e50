# SPDX-License-Identifier: Apache-2.0
"""What a picture's first bytes say about its size: as OpenCV reads it, or the limit holds nothing back."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import visavis
from visavis.errors import PictureError
from visavis.picture_headers import header_size
from visavis.pictures import decode_still

PHOTO = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def vast(picture: bytes) -> bytes:
    """Of 65500 x 65500 pixels, says its frame header."""
    at = picture.index(b"\xff\xc0") + 5
    return picture[:at] + struct.pack(">HH", 65_500, 65_500) + picture[at + 4 :]


@pytest.mark.parametrize("marker", [b"\xff\x01", b"\xff\xd0", b"\xff\xd7", b"\xff", b"\xff\xff\xff"])
def test_markers_that_no_length_follows_are_passed_over(marker: bytes) -> None:
    assert header_size(PHOTO[:2] + marker + PHOTO[2:]) == (64, 48)
    assert decode_still(PHOTO[:2] + marker + PHOTO[2:], "photo").shape == (48, 64, 3)


@pytest.mark.parametrize("marker", [b"\xff\xd0", b"\xff\x01", b"\xff\0"])
def test_a_false_frame_header_hides_no_vast_picture(marker: bytes) -> None:
    """Whoever takes the next marker, 0xFFEF, for a length finds the false one: in the segment that begins there."""
    false = segment(0xC0, bytes([8, 0, 48, 0, 64, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]))
    before = len(PHOTO[:2] + marker) + 0xFFEF
    inside = bytes(before - len(PHOTO[:2] + marker + b"\xff\xef\0\0")) + false[:16]
    crafted = PHOTO[:2] + marker + segment(0xEF, inside) + vast(PHOTO)[2:]
    with pytest.raises(PictureError, match=r"has 65500x65500 pixels: the limit is 40 million|^crafted is damaged$"):
        decode_still(crafted, "crafted")


@pytest.mark.parametrize("between", [b"?", b"\0\0", b"\xff\0"])
def test_a_jpeg_without_a_frame_header_is_damaged(between: bytes) -> None:
    for content in (PHOTO[:2] + segment(0xFE, b"") + between + vast(PHOTO)[2:], PHOTO[:30], PHOTO[:2] + b"\xff\xd9"):
        with pytest.raises(PictureError, match=r"^photo is damaged$"):
            decode_still(content, "photo")


def test_opencv_itself_takes_no_vast_picture(tmp_path: Path) -> None:
    """Whatever header_size may be made to believe."""
    large = tmp_path / "large.png"
    assert cv2.imwrite(str(large), np.zeros((6_400, 6_300), np.uint8))
    program = (
        "import visavis.pictures as p\np.header_size = lambda _: (1, 1)\ntry: p.still('large.png')\n"
        "except p.PictureError as error: print(error)"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout == "large.png has more pixels than its header says: the limit is 40 million\n"


def test_one_file_imports_opencv_and_limits_it_before() -> None:
    source = Path(visavis.__file__).parent
    found = {path.name for path in source.rglob("*.py") if re.search(r"^\s*(import|from) cv2", path.read_text(), re.M)}
    assert found == {"opencv.py"}


def test_the_size_of_a_bmp_of_os2_stands_in_half_as_many_bytes() -> None:
    width, height, head = 16, 8, 26
    pixels = bytes(3 * width * height)
    picture = struct.pack("<2sIHHI", b"BM", head + len(pixels), 0, 0, head)
    picture += struct.pack("<IHHHH", 12, width, height, 1, 24) + pixels
    assert header_size(picture) == (width, height)
    assert decode_still(picture, "old").shape == (height, width, 3)
    usual = cv2.imencode(".bmp", np.zeros((height, width, 3), np.uint8))[1].tobytes()
    assert header_size(usual) == (width, height)

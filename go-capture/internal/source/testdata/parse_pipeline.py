#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Parses a pipeline with the real GStreamer; stand-ins take the place of NVIDIA's two elements.

parse_pipeline.py 'nvarguscamerasrc sensor-id=0 ! ... ! appsink'
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GObject, Gst  # noqa: E402

Gst.init(None)
NVMM = Gst.Caps.from_string("video/x-raw(memory:NVMM),format=NV12")
PLAIN = Gst.Caps.from_string("video/x-raw,format=BGRx")


def always(name: str, direction: Gst.PadDirection, caps: Gst.Caps) -> Gst.PadTemplate:
    """A pad that an element has from the start."""
    return Gst.PadTemplate.new(name, direction, Gst.PadPresence.ALWAYS, caps)


class StandIn(Gst.Element):
    """An element that has its pads and does nothing."""

    def __init__(self) -> None:
        super().__init__()
        for template in self.__gsttemplates__:
            self.add_pad(Gst.Pad.new_from_template(template, template.name_template))


class Source(StandIn):
    """nvarguscamerasrc: gives NV12 in NVIDIA's memory; of its properties, the one that our pipeline uses."""

    __gstmetadata__ = ("stand-in", "Source/Video", "of nvarguscamerasrc", "visavis")
    __gsttemplates__ = (always("src", Gst.PadDirection.SRC, NVMM),)
    sensor_id = GObject.Property(type=int, default=0)


class Converter(StandIn):
    """nvvidconv: takes that memory and gives BGRx in plain memory."""

    __gstmetadata__ = ("stand-in", "Filter/Converter/Video", "of nvvidconv", "visavis")
    __gsttemplates__ = (always("sink", Gst.PadDirection.SINK, NVMM), always("src", Gst.PadDirection.SRC, PLAIN))


def main() -> None:
    """Parse the pipeline in the first argument; GLib's error ends the program."""
    for name, element in {"nvarguscamerasrc": Source, "nvvidconv": Converter}.items():
        if not Gst.Element.register(None, name, Gst.Rank.NONE, element):
            raise SystemExit(f"parse_pipeline: {name} cannot be registered")
    Gst.parse_launch(sys.argv[1])


if __name__ == "__main__":
    main()

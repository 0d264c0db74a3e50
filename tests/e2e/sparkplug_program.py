# SPDX-License-Identifier: Apache-2.0
"""Run beside pysparkplug: reads `{"topic", "payload"}` a line and says what the payload holds, or `{"error"}`.

A topic of a command gives the payload that asks for a rebirth instead, in hexadecimal as all payloads.
"""

import json
import sys

import pysparkplug as spb

REBIRTH = spb.Metric(timestamp=1, name="Node Control/Rebirth", datatype=spb.DataType.BOOLEAN, value=True)


def answer(line: dict[str, str]) -> dict[str, object]:
    """What one line asks for."""
    topic = spb.Topic.from_str(line["topic"])
    kind = topic.message_type
    if kind is spb.MessageType.NCMD:
        return {"payload": spb.NCmd(timestamp=1, metrics=(REBIRTH,)).encode(include_dtypes=True).hex()}
    found = kind.payload.decode(bytes.fromhex(line["payload"]))
    said: dict[str, object] = {"kind": kind.value, "device": topic.device_id, "seq": getattr(found, "seq", None)}
    if kind is spb.MessageType.NDEATH:
        return said | {
            "metrics": {"bdSeq": {"type": found.bd_seq_metric.datatype.name, "value": found.bd_seq_metric.value}}
        }
    metrics = getattr(found, "metrics", ())
    return said | {"metrics": {one.name: {"type": one.datatype.name, "value": one.value} for one in metrics}}


for text in sys.stdin:
    try:
        print(json.dumps(answer(json.loads(text))))
    except (ValueError, KeyError, AttributeError) as error:
        print(json.dumps({"error": f"{text.strip()}: {error!r}"}))

# SPDX-License-Identifier: Apache-2.0
"""In which order devices are updated, and how many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def rollout(devices: Sequence[str], domain_of: Mapping[str, str], at_once: int = 1) -> dict[str, list[Any]]:
    """The devices by failure domain, and the sizes of batches of which none holds devices of two domains.

    Args:
        devices: names in the inventory.
        domain_of: the domain of each; one without is a domain by itself.
        at_once: how many devices of one domain may be down at the same time.

    Raises:
        ValueError: `at_once` is less than 1.
    """
    if int(at_once) < 1:
        raise ValueError(f"visavis_at_once is {at_once}: at least one device must be updated at a time")
    domains: dict[str, list[str]] = {}
    for device in sorted(devices):
        domains.setdefault(domain_of.get(device) or f"\0{device}", []).append(device)
    batches = [
        members[first : first + int(at_once)]
        for _, members in sorted(domains.items())
        for first in range(0, len(members), int(at_once))
    ]
    return {"devices": [one for batch in batches for one in batch], "sizes": [len(batch) for batch in batches]}


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by their names in playbooks."""
        return {"rollout": rollout}

# SPDX-License-Identifier: Apache-2.0
"""Scores that several parts must agree on: how sure a model is that a box holds a face, 0 to 1."""

from __future__ import annotations

# Workers tell of no box below this: it is as good as none, and there are so many that they cost time.
TOLD_LEAST = 0.1
# From this on a box is taken for a face where pictures are chosen or forms of a model compared.
SURE = 0.5
# From this on a face is hidden, though a higher score is asked for and nobody is told of it: hub.HidesMost.
HIDES = 0.5


def unsure_score(score: float) -> float:
    """The least score that a worker sends: what is below `score` is told to nobody, but continues a track."""
    return min(score, max(TOLD_LEAST, round(score / 3, 4)))

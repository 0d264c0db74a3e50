# SPDX-License-Identifier: Apache-2.0
"""Models, from a name to a file that a backend loads.

Which there are: `manifest` (by name), `imported` (a person's own), `auto` (the one that `bench` recommended),
`configured` (whether the named one is here), `pull` (fetches one).
What a file is, before anything runs it: `inspection`, `identify`.
How it is made fast: `prepare`, with `graph` and `normalisation`; `agreement` compares it with its original; `cache`
keeps it.
INT8: `quantize`, with pictures of a camera from `borrow`; `quantized` keeps it; `processor` says whether it pays.
How good it is: `accuracy`, on pictures with `labels`.
"""

# SPDX-License-Identifier: Apache-2.0
"""Updates of a whole device: two slots, signed bundles, and a way back.

RAUC checks and writes; what is here makes keys and bundles (`keys`, `bundle`), asks RAUC (`rauc`), tells it how this
board's boot loader works (`boot`) and decides when a new system has proved itself (`gate`). docs/design/updates.md
has the states.
"""

# SPDX-License-Identifier: Apache-2.0
"""Models: which ones there are (manifest), how they are made fast (prepare), where they are kept (cache)."""

# SPDX-License-Identifier: Apache-2.0
"""A double of pycuda, for machines without a GPU; see driver.py."""

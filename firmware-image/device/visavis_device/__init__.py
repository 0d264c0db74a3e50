# SPDX-License-Identifier: Apache-2.0
"""What a device that was made from an image does with itself: its first start, its settings, its factory reset."""

# SPDX-License-Identifier: Apache-2.0
"""Measurements that anyone can repeat: each module is a command, `python -m visavis.bench.<name>`."""

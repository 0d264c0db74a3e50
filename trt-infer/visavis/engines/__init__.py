# SPDX-License-Identifier: Apache-2.0
"""TensorRT engines: what one is for (key), how it is built (rewrite, int8, builder), how it is kept (vault, cache).

Nothing here imports TensorRT: the module is handed in by `visavis.backends.tensorrt`, its only door.
"""

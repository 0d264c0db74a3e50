# SPDX-License-Identifier: Apache-2.0
"""What people write today to put a detector behind HTTP, each as its framework's own documentation advises.

All use the product's own detector and prepared model, one onnxruntime thread for each of two processes (where there are
processes), and answer the same three requests: GET /healthz, GET /status, POST /detect with a JPEG.
"""

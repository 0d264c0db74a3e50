# SPDX-License-Identifier: Apache-2.0
"""A client of the Open Inference Protocol (version 2), as Triton, KServe and MLServer speak it, over HTTP and gRPC.

Tensors always travel inside the request: the protocol's shared-memory extension is never used.
"""

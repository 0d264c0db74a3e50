# SPDX-License-Identifier: Apache-2.0
"""`visavis doctor --hardware`: what a real board is and how it does, in one file that its owner may send.

`report` asks `board` and `cameras` what is there, `inference` how fast the model is, and `capture` what cameras give
and how the ring holds; `personal` takes out what is nobody's business.
"""

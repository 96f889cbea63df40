"""Prints what is no text: bytes that are not UTF-8, and a million characters in one line."""

import sys

sys.stdout.buffer.write(b"caf\xe9 \xff\xfe and caf\xc3\xa9\n")
sys.stdout.buffer.write(b"\xe2\x82")
sys.stdout.buffer.write(b"x" * 1_000_000)
sys.stdout.buffer.flush()

"""A script's output as lines of text, whatever bytes it wrote."""

from __future__ import annotations

from typing import Iterator

LINE_LIMIT = 1 << 16
"""Longer lines are cut, so that a progress bar never becomes one endless line."""


class Lines:
    """Cuts a stream of bytes into lines of text."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that are complete now."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            yield from _texts(line)
        while len(self._rest) > LINE_LIMIT:
            end = _character_end(self._rest)
            piece, self._rest = self._rest[:end], self._rest[end:]
            yield _text(piece)

    def finish(self) -> Iterator[str]:
        """The last line, if it was never ended."""
        if self._rest:
            yield from _texts(self._rest)
            self._rest = b""


def _texts(line: bytes) -> Iterator[str]:
    while len(line) > LINE_LIMIT:
        end = _character_end(line)
        yield _text(line[:end])
        line = line[end:]
    yield _text(line)


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "backslashreplace")


def _character_end(line: bytes) -> int:
    """Where to cut a long line, so that no character of several bytes is cut in two."""
    end = LINE_LIMIT
    while end > LINE_LIMIT - 4 and line[end] & 0xC0 == 0x80:
        end -= 1
    return end

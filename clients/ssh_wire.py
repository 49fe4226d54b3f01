"""The SSH wire types of RFC 4251 section 5; used by the SSH signature, key and agent clients."""

from __future__ import annotations

import struct

from domain.errors import PermanentFailure


def string(value: bytes) -> bytes:
    """Return the length-prefixed form of `value`."""
    return struct.pack(">I", len(value)) + value


def mpint(value: int) -> bytes:
    """Return a non-negative integer as the shortest two's complement string."""
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big") if value else b"")


class Fields:
    """Reads wire types one after the other; whatever does not fit is a PermanentFailure."""

    def __init__(self, data: bytes, subject: str) -> None:
        self._data = data
        self._subject = subject
        self._position = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        end = self._position + count
        if end > len(self._data):
            raise PermanentFailure(
                f"{self._subject} is truncated: it needs {end} bytes and has {len(self._data)}; "
                "copy the whole of it again"
            )
        taken, self._position = self._data[self._position : end], end
        return taken

    def number(self) -> int:
        """Return a uint32."""
        return int(struct.unpack(">I", self.take(4))[0])

    def string(self) -> bytes:
        """Return the contents of a length-prefixed string."""
        return self.take(self.number())

    def text(self) -> str:
        """Return a string that must be UTF-8."""
        value = self.string()
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise PermanentFailure(
                f"{self._subject} is malformed: {value!r} is not text; make it again"
            ) from None

    def positive_mpint(self) -> int:
        """Return an integer > 0 that is written in its one shortest form."""
        written = self.string()
        value = int.from_bytes(written, "big", signed=True)
        # A second spelling of the same number would let an altered signature still verify.
        if value <= 0 or mpint(value) != string(written):
            raise PermanentFailure(
                f"{self._subject} is malformed: it holds an integer that is not positive or not "
                "in its shortest form; make it again"
            )
        return value

    def end(self) -> None:
        """Refuse anything that follows the last field."""
        left = len(self._data) - self._position
        if left:
            raise PermanentFailure(
                f"{self._subject} is malformed: {left} bytes follow its end; make it again"
            )

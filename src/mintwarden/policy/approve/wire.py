"""OpenSSH's wire format (RFC 4251 section 5), as far as public keys and signatures need it."""

from __future__ import annotations

from mintwarden.policy.approve.refusal import SignatureRefused

MOST = 16 * 1024


def malformed(what: str) -> SignatureRefused:
    """The refusal of bytes that are no signature or no key."""
    return SignatureRefused("malformed", what)


class Reader:
    """Reads one buffer from its start to its end; raises `SignatureRefused` where it does not go on as expected."""

    def __init__(self, data: bytes) -> None:
        if len(data) > MOST:
            raise malformed("it is too long")
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise malformed("it is cut off")
        found, self._at = self._data[self._at : end], end
        return found

    def number(self) -> int:
        """An `uint32`."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """A `string`."""
        return self.take(self.number())

    def mpint(self) -> int:
        """A positive `mpint` in its shortest form."""
        raw = self.string()
        value = int.from_bytes(raw, "big", signed=True)
        if value <= 0 or len(raw) != value.bit_length() // 8 + 1:
            raise malformed("a number is not written as it should be")
        return value

    def end(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._data):
            raise malformed("something follows after its end")


def string(data: bytes) -> bytes:
    """`data` as a `string`."""
    return len(data).to_bytes(4, "big") + data

"""Names of things: decision ids and entity keys."""

from __future__ import annotations

import uuid

from mintwarden.model.values import EntityUid


def decision_id(now: int, entropy: bytes) -> bytes:
    """16 bytes of a UUIDv7 (RFC 9562 section 5.7) from `Millis` and 10 random bytes: later ids sort later."""
    raw = bytearray(now.to_bytes(6, "big") + entropy[:10])
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    return bytes(raw)


def decision_text(raw: bytes) -> str:
    """The usual spelling of a decision id, as in `jti`."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def decision_bytes(text: str) -> bytes:
    """The 16 bytes of a spelled decision id; raises `ValueError` for anything else."""
    return uuid.UUID(text).bytes


def entity_key(uid: EntityUid) -> str:
    """`User:alice` for `User::"alice"`: the key of what is stored about an entity."""
    return f"{uid.type}:{uid.id}"

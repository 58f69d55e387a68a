"""A bundle version as bytes: every text of the bundle, from which any node builds the same bundle again."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mintwarden.govern.ports import StoredVersion
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.read import MAX_BUNDLE

_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder(dict[str, str])


def content_of(texts: Mapping[str, str]) -> bytes:
    """The texts of a bundle as canonical bytes: JSON of path to text, line feeds as line ends, sorted by path."""
    return _ENCODER.encode({path: text.replace("\r\n", "\n").replace("\r", "\n") for path, text in texts.items()})


def texts_of(content: bytes) -> Mapping[str, str]:
    """`content_of` reversed; raises `STORE` for bytes that it cannot have made."""
    try:
        if len(content) > 2 * MAX_BUNDLE:
            raise _damaged("a bundle version")
        return _DECODER.decode(content)
    except msgspec.DecodeError as error:
        raise _damaged("a bundle version") from error


def built(version: StoredVersion) -> Bundle:
    """The bundle of a stored version, compiled.

    INVARIANT: its digest is that under which it was stored, so that whoever can write to the store cannot put other
    rules under a digest that was approved. Raises `STORE` when it is not, `BundleRefused` for a bundle that this
    version of the program does not take.
    """
    bundle = build_bundle(texts_of(version.content))
    if bundle.digest != version.digest:
        raise _damaged(f"the bundle version `{version.digest}`")
    return bundle


def _damaged(what: str) -> MintwardenError:
    return MintwardenError(
        ErrorKind.STORE, f"{what} is not stored as it was approved", hint="restore the store, then audit the ledger"
    )

"""Bundle versions that a store keeps, as texts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from mintwarden.app.bundle_texts import ACTIVE
from mintwarden.app.clock import SystemClock
from mintwarden.govern.content import built, texts_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store import open_store


class StoredVersions:
    """The versions in the store at `url`. Only read: an activation is left as it is."""

    def __init__(self, url: str) -> None:
        self._url = url

    def texts(self, name: str) -> Mapping[str, str]:
        """See `VersionTexts`; raises `STORE` for a version that is not stored as it was approved."""
        return asyncio.run(self._texts(name))

    async def _texts(self, name: str) -> Mapping[str, str]:
        store = await open_store(self._url, read_only=True)
        try:
            digest = name
            if name == ACTIVE:
                active = await store.versions.active()
                if active is None:
                    raise _refused("no bundle version is active in the store", "name a folder, or activate one")
                is_over = active.until is not None and SystemClock().now() >= active.until
                digest = active.returns_to if is_over else active.digest
            version = await store.versions.version(digest)
        finally:
            await store.close()
        if version is None:
            raise _refused(f"the store has no bundle version `{digest}`", "name one that was signed, or a folder")
        # INVARIANT: what is compared is what was signed: the store's word for which content a digest has is not enough.
        await asyncio.to_thread(built, version)
        return texts_of(version.content)


def _refused(what: str, remedy: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, what, hint=remedy)

"""Clients that register themselves, in this deployment."""

from __future__ import annotations

import functools
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from mintwarden.app.administration import access_to, check_keys, showing
from mintwarden.app.foundation import Foundation
from mintwarden.app.proofs import sees_certificates
from mintwarden.app.recorded import revocation_check
from mintwarden.app.revoking import revoker_of
from mintwarden.authn.jose import JoseError, VerificationKey, load_key
from mintwarden.authn.own import OwnTokens
from mintwarden.authn.replay import ReplayGuard
from mintwarden.authn.statement import StatementUnapproved, read_statement
from mintwarden.govern.open_registration import OpenOffice
from mintwarden.model.caller import Evidence
from mintwarden.model.catalogue import OpenRegistration
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.references import INITIAL_SCOPE
from mintwarden.policy.metadata import MetadataRefused
from mintwarden.web.admin.access import AUDIENCE, Access, Showing, demand
from mintwarden.web.admin.limit import Buckets
from mintwarden.web.peer import PeerReader
from mintwarden.web.registration import Registrar
from mintwarden.web.reply import Scope


def registrar(base: Foundation, own: OwnTokens) -> Registrar | None:
    """Registration as the bundle of `base` opens it; None where it does not."""
    catalogue = base.bundle.catalogue
    bounds = catalogue.open_registration
    if bounds is None:
        return None
    scribe = base.scribe()
    access = access_to(base, AUDIENCE, own, replay=ReplayGuard())
    peer = PeerReader(proxies=base.config.server.proxies)
    shown = showing(base, peer)
    return Registrar(
        office=OpenOffice(
            catalogue=catalogue,
            bounds=bounds,
            lookup=base.store.credentials,
            writer=base.store.credentials,
            revoker=revoker_of(base),
            scribe=scribe,
            clock=base.clock,
            pepper=base.pepper,
            random_bytes=secrets.token_bytes,
            check_keys=check_keys,
            statement=_statements(base, bounds),
            local=base.config.server.dev,
            certificates=sees_certificates(base.config),
        ),
        admit=functools.partial(_admit, base, access, shown) if bounds.to == "initial_access_token" else None,
        buckets=Buckets(rate=bounds.per_hour / 3600, burst=bounds.per_hour, monotonic=time.monotonic),
    )


async def _admit(base: Foundation, access: Access, showing: Showing, scope: Scope) -> Evidence:
    who, once = access.verify(showing.of(scope))
    if await revocation_check(base).is_revoked(who):
        raise MintwardenError(ErrorKind.INVALID_TOKEN, "the access token is not valid", authenticate=True)
    if once and not await base.store.revocations.claim(once):
        raise access.again()
    demand(who, INITIAL_SCOPE)
    return who


def _statements(base: Foundation, bounds: OpenRegistration) -> Callable[[str, int], Mapping[str, Any]]:
    publishers: dict[str, tuple[VerificationKey, ...]] = {
        issuer: tuple(load_key(key) for key in keys) for issuer, keys in bounds.publishers.items()
    }

    def read(unverified: str, now: int) -> Mapping[str, Any]:
        try:
            return read_statement(unverified, publishers, now, issuer=base.issuer)
        except StatementUnapproved as error:
            raise MetadataRefused("unapproved_software_statement", str(error)) from None
        except JoseError as error:
            raise MetadataRefused("invalid_software_statement", str(error)) from None

    return read

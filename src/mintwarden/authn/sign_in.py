"""How a person signed in: what every way of signing in proves, and what a flow may demand of one."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from mintwarden.model.values import EntityUid


class SignIn(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person, and how that was proven. INVARIANT: only a verifier of sign-ins builds one.

    Attributes:
        subject: who it is.
        provider: id of the upstream OpenID provider in the bundle, or `passkey`.
        authenticated_at: `Millis`, when the person proved it (`auth_time`); 0 where the provider does not say.
        acr, amr: how, in our own terms after the provider's data mapped them.
        session: public id of our session (`sid` in tokens); not the cookie.
        device: the device id where the provider tells it, or empty.
        upstream_session, upstream_subject: the provider's `sid` and `sub`, or empty.
        facts: what the provider's claim table makes facts of (sources of kind `token`).
    """

    subject: EntityUid
    provider: str
    authenticated_at: int
    acr: str = ""
    amr: tuple[str, ...] = ()
    session: str = ""
    device: str = ""
    upstream_session: str = ""
    upstream_subject: str = ""
    facts: Mapping[str, object] = {}


class Demand(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a flow demands of a sign-in.

    Attributes:
        client_name: for whom, in words for the page.
        acr_values: acceptable levels in order of preference; empty for any.
        essential: one of `acr_values` must be reached.
        max_age: oldest acceptable authentication in seconds, or None.
        again: sign in anew, whatever session there is (`prompt=login`).
        silent: show no page (`prompt=none`).
        choose: let the person choose the account (`prompt=select_account`).
        login_hint, domain_hint: who it probably is.
        subject: it must be this person (`id_token_hint`), or None.
        ui_locales: preferred languages.
        ways: ids of providers, or `passkey`, that can give it; empty for all.
        voluntary: somebody is signed in well enough to go on, with less: where this one comes to nothing, they do.
    """

    client_name: str = ""
    acr_values: tuple[str, ...] = ()
    essential: bool = False
    max_age: int | None = None
    again: bool = False
    silent: bool = False
    choose: bool = False
    login_hint: str = ""
    domain_hint: str = ""
    subject: EntityUid | None = None
    ui_locales: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()
    voluntary: bool = False


def meets(sign_in: SignIn, demand: Demand, now: int) -> bool:
    """Is a present sign-in enough for `demand` at `now` (`Millis`), `again` and `choose` aside."""
    if demand.subject is not None and sign_in.subject != demand.subject:
        return False
    if demand.max_age is not None and now - sign_in.authenticated_at > demand.max_age * 1000:
        return False
    return not (demand.essential and demand.acr_values) or sign_in.acr in demand.acr_values

"""Passkeys (WebAuthn Level 3): registered by invitation, kept as public keys, signed in with.

INVARIANT: every ceremony is of this origin, with a challenge of ours that counts once, and with the person verified by
the authenticator.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import webauthn
from msgspec import Struct
from msgspec.structs import replace
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, parse_attestation_object, structs
from webauthn.helpers.cose import COSEAlgorithmIdentifier as Algorithm

from mintwarden.authn.shelf import Held, Shelf
from mintwarden.authn.sign_in import SignIn
from mintwarden.model.catalogue import Passkeys as Counted
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid

PASSKEY: Final = "passkey"
CHALLENGE: Final = "passkey_challenge"
INVITATION: Final = "passkey_invitation"
"""The kinds of their shelves; the first also names the provider of such a sign-in."""

CHALLENGE_LIFE: Final = 5 * 60_000
MOST: Final = 20
"""Passkeys of one person."""

_LASTING = 100 * 366 * 86_400_000
_ALGORITHMS = [Algorithm.EDDSA, Algorithm.ECDSA_SHA_256, Algorithm.RSASSA_PKCS1_v1_5_SHA_256]
# We ask for no attestation: what comes is none, or the authenticator's own signature. Certificates are not looked at.
_FORMATS = frozenset({structs.AttestationFormat.NONE, structs.AttestationFormat.PACKED})
_LONGEST_LABEL = 64


class Passkey(Struct, frozen=True, kw_only=True):
    """One of a person's passkeys.

    Attributes:
        id: the credential's id, base64url.
        public_key: COSE key.
        sign_count: as the authenticator said last; 0 where it does not count.
        synced: it may live on several devices of the person.
        attachment: what the browser said of where it lives: `platform`, `cross-platform`, or empty. Nothing is decided
            by it.
        label: what the person calls it.
    """

    id: str
    subject: EntityUid
    public_key: bytes
    sign_count: int
    synced: bool
    label: str
    made_at: int
    used_at: int = 0
    attachment: str = ""


class Challenge(Struct, frozen=True, kw_only=True):
    """A challenge that was handed out: for what, to whom (an invitation's or an interaction's handle)."""

    value: bytes
    ceremony: str
    bound_to: str


class Invitation(Struct, frozen=True, kw_only=True):
    """Leave to make one passkey."""

    subject: EntityUid
    made_at: int


class Asked(Struct, frozen=True):
    """What the page's script needs: the challenge's handle, and the options for the browser."""

    handle: str
    options: Mapping[str, Any]


class Passkeys:
    """Registers passkeys and signs in with them.

    Args:
        issuer: whose origin and host every ceremony is for.
        counted: what such a sign-in counts as.
        names: key of the keyed hash by which authenticators know people; nothing personal leaves here.
        entropy: random bytes.
    """

    def __init__(
        self,
        *,
        issuer: str,
        counted: Counted,
        passkeys: Shelf[Passkey],
        challenges: Shelf[Challenge],
        invitations: Shelf[Invitation],
        names: bytes,
        entropy: Callable[[int], bytes],
    ) -> None:
        parts = urlsplit(issuer)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.hostname or ""
        self._counted = counted
        self._passkeys = passkeys
        self._challenges = challenges
        self._invitations = invitations
        self._names = names
        self._entropy = entropy

    async def invite(self, subject: EntityUid, *, ends: int, now: int) -> str:
        """The handle of an invitation for `subject` to make one passkey until `ends` (`Millis`)."""
        handle = bytes_to_base64url(self._entropy(32))
        invitation = Invitation(subject=subject, made_at=now)
        if not await self._invitations.add(handle, invitation, ends=ends, owner=entity_key(subject)):
            raise MintwardenError(ErrorKind.INTERNAL, "an invitation was there already")
        return handle

    async def invited(self, handle: str, now: int) -> EntityUid:
        """Whom the invitation is for; raises `INVALID_REQUEST` for one that was used or has ended."""
        held = await self._invitations.get(handle, now) if handle else None
        if held is None:
            raise _refused("the invitation was used, or has ended", "ask for another one")
        return held.value.subject

    async def ask_to_make(self, invitation: str, now: int) -> Asked:
        """The beginning of a registration."""
        subject = await self.invited(invitation, now)
        present = await self.of(subject, now)
        if len(present) >= MOST:
            raise _refused(f"nobody has more than {MOST} passkeys", "remove one first")
        challenge = self._entropy(32)
        options = webauthn.generate_registration_options(
            rp_id=self._host,
            rp_name=self._host,
            user_name=subject.id,
            user_display_name=subject.id,
            user_id=self._handle_of(subject),
            challenge=challenge,
            attestation=structs.AttestationConveyancePreference.NONE,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                require_resident_key=True,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[
                structs.PublicKeyCredentialDescriptor(id=base64url_to_bytes(held.value.id)) for held in present
            ],
            supported_pub_key_algs=_ALGORITHMS,
        )
        return await self._asked(challenge, "create", invitation, webauthn.options_to_json(options), now)

    async def make(
        self, invitation: str, handle: str, unverified: Mapping[str, Any], label: str, now: int
    ) -> tuple[Passkey, Callable[[], Any]]:
        """The passkey that was made, and what keeps it: to be called once that is written down.

        Raises `INVALID_REQUEST` for a credential that is not accepted; the invitation stays good then.
        """
        challenge = await self._answered(handle, "create", invitation, now)
        subject = await self.invited(invitation, now)
        try:
            _check_client_data(unverified)
            if (
                parse_attestation_object(base64url_to_bytes(unverified["response"]["attestationObject"])).fmt
                not in _FORMATS
            ):
                raise _refused("the passkey came with an attestation that was not asked for")
            made = webauthn.verify_registration_response(
                # Without what nothing is decided by: a word that a browser learns some day is no reason to refuse.
                credential={name: value for name, value in unverified.items() if name != _WHERE},
                expected_challenge=challenge.value,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                require_user_verification=True,
                supported_pub_key_algs=_ALGORITHMS,
            )
        except MintwardenError:
            raise
        except Exception as error:  # noqa: BLE001 - a hostile credential may break the library's parsers anyhow
            raise _refused("the passkey is not accepted", type(error).__name__) from None
        passkey = Passkey(
            id=bytes_to_base64url(made.credential_id),
            subject=subject,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            synced=made.credential_device_type is structs.CredentialDeviceType.MULTI_DEVICE,
            label=_label(label),
            made_at=now,
            attachment=_attachment(unverified),
        )

        async def keep() -> None:
            # INVARIANT: of two registrations by one invitation one takes it.
            if await self._invitations.take(invitation, now) is None:
                raise _refused("the invitation was used, or has ended", "ask for another one")
            if not await self._passkeys.add(passkey.id, passkey, ends=now + _LASTING, owner=entity_key(subject)):
                raise _refused("the passkey is known already", "use another one")

        return passkey, keep

    async def ask_to_show(self, interaction: str, now: int) -> Asked:
        """The beginning of a sign-in; the browser offers whatever passkeys it has for us."""
        challenge = self._entropy(32)
        options = webauthn.generate_authentication_options(
            rp_id=self._host,
            challenge=challenge,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        )
        return await self._asked(challenge, "get", interaction, webauthn.options_to_json(options), now)

    async def show(self, interaction: str, handle: str, unverified: Mapping[str, Any], now: int) -> SignIn:
        """The sign-in that a passkey proves; raises `INVALID_REQUEST`."""
        challenge = await self._answered(handle, "get", interaction, now)
        name = unverified.get("id")
        held = await self._passkeys.get(name, now) if isinstance(name, str) and name else None
        if held is None:
            raise _refused("the passkey is not known here")
        passkey = held.value
        try:
            _check_client_data(unverified)
            stated = base64url_to_bytes(unverified["response"]["userHandle"])
            if not hmac.compare_digest(stated, self._handle_of(passkey.subject)):
                raise _refused("the passkey is another person's")
            shown = webauthn.verify_authentication_response(
                credential=dict(unverified),
                expected_challenge=challenge.value,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=True,
            )
        except MintwardenError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            raise _refused("the passkey is not accepted", type(error).__name__) from None
        used = replace(passkey, sign_count=shown.new_sign_count, used_at=now)
        if not await self._passkeys.replace(held, used):
            raise _refused("the passkey was used elsewhere in this very moment", "try again")
        return self._sign_in(passkey, now)

    async def of(self, subject: EntityUid, now: int) -> Sequence[Held[Passkey]]:
        """A person's passkeys."""
        return await self._passkeys.owned(entity_key(subject), now)

    async def remove(self, held: Held[Passkey]) -> bool:
        """Forget a passkey; whether it was still there."""
        return await self._passkeys.remove(held)

    def _sign_in(self, passkey: Passkey, now: int) -> SignIn:
        amr = tuple("swk" if name == "hwk" and passkey.synced else name for name in self._counted.amr)
        return SignIn(subject=passkey.subject, provider=PASSKEY, authenticated_at=now, acr=self._counted.acr, amr=amr)

    async def _asked(self, challenge: bytes, ceremony: str, bound_to: str, options: str, now: int) -> Asked:
        handle = bytes_to_base64url(self._entropy(32))
        kept = Challenge(value=challenge, ceremony=ceremony, bound_to=bound_to)
        await self._challenges.add(handle, kept, ends=now + CHALLENGE_LIFE)
        return Asked(handle, json.loads(options))

    async def _answered(self, handle: str, ceremony: str, bound_to: str, now: int) -> Challenge:
        """The challenge, which counts no more after this."""
        challenge = await self._challenges.take(handle, now) if handle else None
        if challenge is None or challenge.ceremony != ceremony or challenge.bound_to != bound_to:
            raise _refused("the challenge was answered, or has ended", "try again")
        return challenge

    def _handle_of(self, subject: EntityUid) -> bytes:
        return hmac.digest(self._names, entity_key(subject).encode(), hashlib.sha256)


def _check_client_data(unverified: Mapping[str, Any]) -> None:
    """What the library leaves open: a ceremony inside another site's frame is none of ours (section 7.2)."""
    data = json.loads(base64url_to_bytes(unverified["response"]["clientDataJSON"]))
    if data.get("crossOrigin") not in (None, False) or data.get("topOrigin") is not None:
        raise _refused("the passkey was asked for inside another site's page")


_WHERE = "authenticatorAttachment"


def _attachment(unverified: Mapping[str, Any]) -> str:
    said = unverified.get(_WHERE)
    return said if said in ("platform", "cross-platform") else ""


def _label(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:_LONGEST_LABEL]


def _refused(public: str, hint: str = "") -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)

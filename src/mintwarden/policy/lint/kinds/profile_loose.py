"""Profiles that give up something that the default protects: chosen on purpose, and not for ever."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.model.profiles import DEFAULT, PROFILES, ProfileName
from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject


def look(subject: Subject) -> Iterator[Hit]:
    """Clients, audiences and bounds of clients beside the bundle whose profile is a loose one."""
    catalogue = subject.catalogue
    for client in catalogue.clients.values():
        yield from _loose(f"client `{client.id}`", client.profile, subject.client(client.id, "profile"))
    for audience in catalogue.audiences.values():
        place = subject.audience(audience.id, "audience", "profile")
        yield from _loose(f"audience `{audience.id}`", audience.profile, place)
    for table, bounds in (
        ("registration", catalogue.registration),
        ("client_id_metadata", catalogue.documents),
        ("open_registration", catalogue.open_registration),
    ):
        if bounds is not None:
            place = Place("bundle.toml", (table, "profile"))
            yield from _loose(f"every client of `[{table}]`", bounds.profile, place)


def _loose(what: str, profile: ProfileName, place: Place) -> Iterator[Hit]:
    if PROFILES[profile].loose:
        message = f"{what} is of profile `{profile}`, which is looser than `{DEFAULT}`"
        yield Hit(place, message, "take `profile` out when what needs it is gone, or say until when it stays")


KIND = Kind(id="profile-loose", severity="warning", summary="A profile that is looser than the default", look=look)

"""One recorded decision, decided again: from its entry and what is sealed beside it, under any bundle.

Pure but for the keys it is handed: what is read and from where is the caller's business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from mintwarden.ledger.document import SealedDecision, read_document
from mintwarden.ledger.entry import VERSION, DecisionEntry, decision_entry
from mintwarden.ledger.ports import StoredEntry
from mintwarden.ledger.seal import Sealer, token_digest
from mintwarden.mint.prepare import prepare, prepare_id_token
from mintwarden.model.asked import RegisteredClient
from mintwarden.model.catalogue import Client
from mintwarden.model.decision import Decision
from mintwarden.model.errors import MintwardenError
from mintwarden.model.facts import Facts
from mintwarden.model.ids import decision_text
from mintwarden.model.token import PreparedToken
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.registered import client_of
from mintwarden.review.cause import Cause
from mintwarden.review.hypothesis import Hypothesis
from mintwarden.review.passage import Passage, Question

Fidelity = Literal["", "same", "same_but_token", "different"]
"""How a decision came out under the bundle that had made it, against its entry: byte for byte the same; the same, but
no key is known with which its token could be prepared again; different. Empty where another bundle decided."""

_ENTRY = msgspec.json.Decoder(DecisionEntry)


class SigningKey(NamedTuple):
    """The public name of a key that may have signed: a token's digest covers it, and the record does not name it."""

    kid: str
    algorithm: str


class Replayed(NamedTuple):
    """A recorded decision and the one of now.

    Attributes:
        was, claims: the public entry, and the values of the claims that were issued.
        recorded: what was asked and true then.
        question: the same as the candidate was asked it.
        now: what the candidate decided.
        differs: the names of the entry's members that came out otherwise, where `fidelity` is not `same`.
    """

    was: DecisionEntry
    claims: Mapping[str, Any]
    recorded: Question
    question: Question
    now: Decision
    fidelity: Fidelity = ""
    differs: tuple[str, ...] = ()


def read_decision(stored: StoredEntry) -> DecisionEntry | Cause | None:
    """The public entry of a decision; None for an entry of another kind, a `Cause` for one that was changed."""
    # A file that was edited may hold text where bytes belong.
    if type(stored.entry) is not bytes or hashlib.sha256(b"\0" + stored.entry).digest() != stored.leaf_hash:
        return Cause("damaged", "the entry is not the one of its leaf")
    try:
        entry = _ENTRY.decode(stored.entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Cause("unknown_form", "the entry")
    if entry.kind != "decision":
        return None
    if entry.v != VERSION:
        return Cause("unknown_form", "the entry's version")
    return entry


_NO_KEYS: list[SigningKey] = []


class Recorded(NamedTuple):
    """A decision to replay: its entry, of `read_decision(stored)`, and `SubjectKeys.by_id(stored.key_id)`."""

    was: DecisionEntry
    stored: StoredEntry
    key: tuple[str, bytes] | None


class _Item:
    """A decision on its way through the stages; `cause` ends the way."""

    __slots__ = (
        "blinding",
        "cause",
        "document",
        "id_token",
        "keys",
        "now",
        "own",
        "prepared",
        "question",
        "sealed",
        "stored",
        "was",
    )

    was: DecisionEntry
    stored: StoredEntry
    document: bytes
    blinding: bytes
    sealed: SealedDecision
    question: Question
    now: Decision

    def __init__(self, was: DecisionEntry, stored: StoredEntry) -> None:
        self.was = was
        self.stored = stored
        self.cause: Cause | None = None
        self.own = False
        self.prepared: PreparedToken | None = None
        self.id_token: PreparedToken | None = None
        self.keys = _NO_KEYS


class Replayer:
    """Decides recorded decisions again under `candidate`.

    `find` gives a bundle that decided by its digest, and is asked once for each. A decision of a bundle that is not
    found is not replayable: what was recorded of its facts depends on the rules of then. `keys` are the keys that
    tokens may have been prepared for.
    """

    def __init__(
        self,
        candidate: Bundle,
        find: Callable[[str], Bundle | None],
        *,
        sealer: Sealer,
        keys: Iterable[SigningKey] = (),
        hypothesis: Hypothesis | None = None,
    ) -> None:
        self.candidate = candidate
        self._find = find
        self._passages: dict[str, Passage | None] = {candidate.digest: Passage(candidate, candidate)}
        self._sealer = sealer
        self._hypothesis = hypothesis or Hypothesis()
        self._hypothesis.check(candidate.catalogue)
        self._keys: dict[str, list[SigningKey]] = {}
        for key in keys:
            self._keys.setdefault(key.algorithm, []).append(key)

    def replay(self, recorded: Iterable[Recorded]) -> list[Replayed | Cause]:
        """Each of `recorded` decided again, in order.

        All of them go through one stage before the first goes to the next: with some dozens at a time that takes a
        third less than one after the other, because a stage's code and tables stay where the processor finds them.
        """
        items = [self._opened(*one) for one in recorded]
        going = [item for item in items if item.cause is None]
        for item in going:
            self._read(item)
        going = [item for item in going if item.cause is None]
        for item in going:
            self._cross(item)
        going = [item for item in going if item.cause is None]
        for item in going:
            self._decide(item)
        for item in going:
            if item.own and item.was.prepared and item.now.granted:
                self._prepare(item)
        return [item.cause if item.cause is not None else self._judged(item) for item in items]

    def passage(self, digest: str) -> Passage | None:
        """The way from a bundle to the candidate; None where the bundle is not at hand."""
        try:
            return self._passages[digest]
        except KeyError:
            bundle = self._find(digest)
            found = self._passages[digest] = None if bundle is None else Passage(bundle, self.candidate)
            return found

    # -- the stages ------------------------------------------------------------------------------------------------

    def _opened(self, was: DecisionEntry, stored: StoredEntry, key: tuple[str, bytes] | None) -> _Item:
        item = _Item(was, stored)
        if self.passage(was.bundle) is None:
            item.cause = Cause("bundle_unknown", was.bundle)
        elif not was.facts:
            item.cause = Cause("nothing_sealed")
        elif key is None:
            item.cause = Cause("subject_erased")
        else:
            try:
                expected = bytes.fromhex(was.facts)
                opened = self._sealer.reveal(key[1], stored.decision_id, stored.sealed or b"", expected)
                item.document, item.blinding = opened
            except (MintwardenError, ValueError, TypeError):
                item.cause = Cause("damaged", "what is sealed beside the entry")
        return item

    def _read(self, item: _Item) -> None:
        try:
            item.sealed = read_document(item.document)
        except MintwardenError:
            item.cause = Cause("unknown_form", "what is sealed beside the entry")

    def _cross(self, item: _Item) -> None:
        was, sealed = item.was, item.sealed
        if not was.granted and any(one.reason == "unverified" for one in (*was.scopes, *was.details)):
            item.cause = Cause("evaluators_disagreed")
            return
        passage = self._passages[was.bundle]
        if passage is None:
            return
        question = passage.cross(sealed.asked, sealed.facts, was.at)
        if isinstance(question, Question) and self._hypothesis:
            supposed = self._hypothesis.suppose(question.asked, question.facts, self.candidate.catalogue)
            question = supposed if isinstance(supposed, Cause) else Question(question.asked, supposed)
        if isinstance(question, Cause):
            item.cause = question
        else:
            item.question = question

    def _decide(self, item: _Item) -> None:
        was, (asked, facts) = item.was, item.question
        item.own = was.bundle == self.candidate.digest and not self._hypothesis
        bundle = self.candidate.on_cedar() if item.own and was.evaluator == "cedar" else self.candidate
        item.now = decide(bundle, asked, facts, was.at)
        if not item.own and (unasked := _unasked(item.now, facts)):
            item.cause = Cause("facts_not_recorded", unasked)

    def _prepare(self, item: _Item, key: SigningKey | None = None) -> None:
        """The token as prepared with `key`, or with the one that signed last: most probably it is that one."""
        was, asked, catalogue = item.was, item.question.asked, self.candidate.catalogue
        client, audience = client_of(catalogue, asked), catalogue.audiences.get(asked.audience)
        if client is not None and audience is not None:
            item.keys = self._keys.get(audience.algorithm, _NO_KEYS)
            for chosen in (key,) if key is not None else item.keys[:1]:
                item.prepared = prepare(
                    item.now, asked, client, audience, issuer=was.issuer, key=chosen, now=was.at, decision_id=was.id
                )
            self._prepare_id_token(item, client)

    def _prepare_id_token(self, item: _Item, client: Client | RegisteredClient) -> None:
        """The ID token beside it, with the key with which its digest is the recorded one, or with another."""
        was, identity = item.was, self.candidate.catalogue.audiences.get(self.candidate.catalogue.identity)
        if was.identity is None or identity is None:
            return
        for key in self._keys.get(identity.algorithm, _NO_KEYS):
            item.id_token = prepare_id_token(
                item.now, item.question.asked, client, issuer=was.issuer, key=key, now=was.at, decision_id=was.id
            )
            if item.id_token is None or token_digest(item.blinding, item.id_token.digest) == was.identity.id_token:
                return

    def _fit(self, item: _Item) -> bool:
        """Prepare the token with the key with which its digest is the recorded one; False where there is none."""
        for key in tuple(item.keys):
            self._prepare(item, key)
            prepared = item.prepared
            if prepared is not None and token_digest(item.blinding, prepared.digest) == item.was.prepared:
                item.keys.remove(key)
                item.keys.insert(0, key)
                return True
        item.prepared = None
        return False

    def _judged(self, item: _Item) -> Replayed:
        """The two decisions, and where one bundle made both: is the entry built again the recorded bytes?"""
        sealed, entry = item.sealed, item.stored.entry
        recorded = Question(sealed.asked, sealed.facts)
        if not item.own:
            return Replayed(item.was, sealed.claims, recorded, item.question, item.now)
        again = self._entry(item)
        fits = True
        if again != entry and item.was.prepared:
            fits = item.now.granted and self._fit(item)
            again = self._entry(item)
        if again == entry:
            return Replayed(item.was, sealed.claims, recorded, item.question, item.now, "same")
        fidelity, differs = _difference(entry, again, known=fits)
        return Replayed(item.was, sealed.claims, recorded, item.question, item.now, fidelity, differs)

    def _entry(self, item: _Item) -> bytes:
        try:
            return decision_entry(
                decision_id=decision_text(item.stored.decision_id),
                issuer=item.was.issuer,
                decision=item.now,
                asked=item.sealed.asked,
                prepared=item.prepared,
                id_token=item.id_token,
                commitment=bytes.fromhex(item.was.facts),
                blinding=item.blinding,
            )
        except MintwardenError:
            return b"{}"


def _unasked(now: Decision, facts: Facts) -> str:
    """A reading that refused because there was none at all: a source that nobody asked then."""
    for scope in (*now.scopes, *now.details):
        for key in scope.facts:
            if key not in facts.readings:
                return f"source `{key.rpartition('/')[2]}`"
    return ""


def _difference(recorded: bytes, again: bytes, *, known: bool) -> tuple[Fidelity, tuple[str, ...]]:
    """Which members came out otherwise; a token whose key is not known does not count."""
    before, after = msgspec.json.decode(recorded), msgspec.json.decode(again)
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if names == ["prepared"] and not known and "prepared" in before:
        return "same_but_token", ("prepared",)
    return "different", tuple(names) or ("form",)

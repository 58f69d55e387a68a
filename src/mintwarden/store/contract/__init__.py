"""The suite that every store passes; a new store's tests are a fixture and these classes.

Each class is a pytest class without pytest in it. Its tests take one fixture, `make_store`: an async callable that
opens one more handle on the same, at first empty, store, as another node would. `tests/contract/` shows how.
"""

from mintwarden.store.contract.answers import AnswersContract
from mintwarden.store.contract.credentials import CredentialsContract
from mintwarden.store.contract.decision_index import DecisionIndexContract
from mintwarden.store.contract.directory import DirectoryContract
from mintwarden.store.contract.entries import EntriesContract
from mintwarden.store.contract.exceptions import ExceptionsContract
from mintwarden.store.contract.facts import FactsContract
from mintwarden.store.contract.finding_states import FindingStatesContract
from mintwarden.store.contract.keys import KeysContract
from mintwarden.store.contract.leases import LeasesContract
from mintwarden.store.contract.nodes import NodesContract
from mintwarden.store.contract.revocations import RevocationsContract
from mintwarden.store.contract.scim import ScimContract
from mintwarden.store.contract.states import StatesContract
from mintwarden.store.contract.subject_keys import SubjectKeysContract
from mintwarden.store.contract.tree import TreeContract
from mintwarden.store.contract.versions import VersionsContract

SUITE = (
    FactsContract,
    EntriesContract,
    SubjectKeysContract,
    TreeContract,
    NodesContract,
    LeasesContract,
    KeysContract,
    CredentialsContract,
    DirectoryContract,
    RevocationsContract,
    StatesContract,
    VersionsContract,
    AnswersContract,
    FindingStatesContract,
    DecisionIndexContract,
    ExceptionsContract,
    ScimContract,
)
"""All of it, in reading order."""

__all__ = [
    "SUITE",
    "AnswersContract",
    "CredentialsContract",
    "DecisionIndexContract",
    "DirectoryContract",
    "EntriesContract",
    "ExceptionsContract",
    "FactsContract",
    "FindingStatesContract",
    "KeysContract",
    "LeasesContract",
    "NodesContract",
    "RevocationsContract",
    "ScimContract",
    "StatesContract",
    "SubjectKeysContract",
    "TreeContract",
    "VersionsContract",
]

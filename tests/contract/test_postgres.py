"""PostgreSQL passes the suite, and what only PostgreSQL can be asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from mintwarden.store import Store, contract, open_store
from mintwarden.store.contract.samples import MakeStore

# One server for all of them.
pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
async def make_store(url: str) -> AsyncIterator[MakeStore]:
    opened: list[Store] = []

    async def make() -> Store:
        opened.append(await open_store(url))
        return opened[-1]

    yield make
    for store in opened:
        await store.close()


class TestFacts(contract.FactsContract): ...


class TestEntries(contract.EntriesContract): ...


class TestSubjectKeys(contract.SubjectKeysContract): ...


class TestTree(contract.TreeContract): ...


class TestNodes(contract.NodesContract): ...


class TestLeases(contract.LeasesContract): ...


class TestKeys(contract.KeysContract): ...


class TestCredentials(contract.CredentialsContract): ...


class TestDirectory(contract.DirectoryContract): ...


class TestRevocations(contract.RevocationsContract): ...


class TestExceptions(contract.ExceptionsContract): ...


class TestVersions(contract.VersionsContract): ...


class TestAnswers(contract.AnswersContract): ...


class TestDecisionIndex(contract.DecisionIndexContract): ...


class TestStates(contract.StatesContract): ...


class TestFindingStates(contract.FindingStatesContract): ...


class TestScim(contract.ScimContract): ...

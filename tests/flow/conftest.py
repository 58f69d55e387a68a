from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.conftest import new_database, postgres
from tests.flow.company import Company, running

__all__ = ["company", "new_database", "postgres"]


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    async with running(tmp_path) as company:
        yield company

"""The same PostgreSQL server as in the contract tests: one for all tests of this folder."""

from tests.contract.conftest import new_database, postgres

__all__ = ["new_database", "postgres"]

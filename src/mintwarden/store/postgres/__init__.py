"""The store for several nodes: any number of them on one PostgreSQL."""

from mintwarden.store.postgres.opening import PostgresStore, open_postgres

__all__ = ["PostgresStore", "open_postgres"]

"""The embedded store: one SQLite file in write-ahead logging, flushed to disk at every commit."""

from mintwarden.store.sqlite.opening import SqliteStore, open_sqlite, prepare_file

__all__ = ["SqliteStore", "open_sqlite", "prepare_file"]

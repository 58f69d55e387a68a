from __future__ import annotations

import pytest

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store.urls import scheme_of, shown, sqlite_path


def test_paths():
    assert sqlite_path("sqlite:///a/b.db") == "a/b.db"
    assert sqlite_path("sqlite:////a/b c?.db") == "/a/b c?.db"


@pytest.mark.parametrize("url", ["sqlite://a.db", "sqlite:///", "sqlite:///:memory:", "sqlite:///a/", "sqlite:///a\0b"])
def test_no_path(url):
    with pytest.raises(MintwardenError) as caught:
        sqlite_path(url)
    assert caught.value.kind is ErrorKind.CONFIG


@pytest.mark.parametrize("url", ["", "mysql://h/d", "sqlite", "SQLITE:///a"])
def test_no_store(url):
    with pytest.raises(MintwardenError, match="not the URL of a store"):
        scheme_of(url)


def test_a_password_is_never_shown():
    for url in ("postgresql://u:hunter2@h:5/d", "mysql://u:hunter2@h/d"):
        assert "hunter2" not in shown(url)
    assert shown("sqlite:////a.db") == "sqlite:////a.db"
    with pytest.raises(MintwardenError) as caught:
        scheme_of("mysql://u:hunter2@h/d")
    assert "hunter2" not in caught.value.public

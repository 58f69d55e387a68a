from __future__ import annotations

import contextlib
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.form import MAX_PARAMETERS, MAX_VALUE, parse_form


def test_reads_parameters():
    form = parse_form(b"grant_type=client_credentials&scope=a%3Aread+b%3Aread&resource=https%3A%2F%2Fx")
    assert form == {"grant_type": ("client_credentials",), "scope": ("a:read b:read",), "resource": ("https://x",)}


def test_an_empty_value_counts_as_absent():
    assert parse_form(b"scope=&tenant&a=1&&") == {"a": ("1",)}


def test_resource_and_audience_may_repeat():
    form = parse_form(b"resource=a&audience=b&resource=c&audience=d")
    assert form == {"resource": ("a", "c"), "audience": ("b", "d")}


@pytest.mark.parametrize(
    "body",
    [
        b"scope=a&scope=b",
        b"scope=a&scope=",
        b"scope=&scope=a",
        b"s%63ope=a&scope=b",
        b"=a",
        b"%00=a",
        b"a=%00",
        b"a=x%0d%0aSet-Cookie%3A+y",
        b"a=%7f",
        b"a=%1b[2J",
        b"a=%e2%80%ae",  # a right-to-left override
        b"a=%e2%80%a8",  # a line separator
        b"a=%",
        b"a=%4",
        b"a=%zz",
        b"a=%u0041",
        b"a=%ff",
        b"a=%c0%af",  # an overlong slash
        b"a=%ed%a0%80",  # a surrogate
        "a=é".encode(),
        b"a=\xff\xfe",
        b"a=b\x00",
        b"a=b\n",
        b"&".join(b"p%d=1" % n for n in range(MAX_PARAMETERS + 1)),
        b"a=" + b"x" * (MAX_VALUE + 1),
    ],
)
def test_refuses(body):
    with pytest.raises(MintwardenError) as caught:
        parse_form(body)
    assert caught.value.kind is ErrorKind.INVALID_REQUEST


def test_utf8_is_read():
    assert parse_form(b"a=%C3%A9+%e2%82%ac") == {"a": ("é €",)}


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=8))
def test_reads_back_what_others_write(form):
    body = urlencode(form, errors="surrogatepass").encode()
    printable = all((key + value).isprintable() for key, value in form.items())
    if printable:
        assert parse_form(body) == {key: (value,) for key, value in form.items()}
    else:
        with pytest.raises(MintwardenError):
            parse_form(body)


@given(st.binary(max_size=200))
def test_never_fails_in_another_way(body):
    with contextlib.suppress(MintwardenError):
        parse_form(body)

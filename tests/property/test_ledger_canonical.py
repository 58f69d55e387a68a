"""What we write as canonical is what RFC 8785 demands, by another implementation; everything else is refused."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.ledger.canonical import MAX_INTEGER, canonical_json, read_canonical
from mintwarden.model.errors import MintwardenError

ASCII = st.text(st.characters(max_codepoint=127), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ASCII, inner, max_size=4), max_leaves=20
)


@given(VALUES)
def test_canonical_json_is_rfc_8785(value):
    written = canonical_json(value)
    assert written == rfc8785.dumps(value)
    assert read_canonical(written) == value
    assert json.loads(written) == value


@given(
    VALUES,
    st.sampled_from([1.5, float("nan"), MAX_INTEGER + 1, -MAX_INTEGER - 1, "\ud800", {"é": 1}, {1: 2}, b"", {1}]),
)
def test_what_has_no_canonical_form_is_refused_wherever_it_stands(value, bad):
    for whole in (bad, [value, bad], {"a": value, "b": [bad]}):
        with pytest.raises(MintwardenError):
            canonical_json(whole)


@given(st.binary(max_size=64))
def test_reading_never_takes_what_it_would_not_write(data):
    try:
        value = read_canonical(data)
    except ValueError:
        return
    assert canonical_json(value) == data

"""JSON that is small, and made to be expensive to read: it is refused for what it costs to look at it once."""

from __future__ import annotations

import time

import pytest

from mintwarden.app.bootstrap.strict import read_json
from mintwarden.authn.jose import JoseError, decode_json
from mintwarden.model.errors import MintwardenError

ENOUGH = 2.0
"""Seconds of this thread's own work: what grows with the length takes a hundredth of it, with its square half a minute."""
LENGTH = 64 * 1024

DOCUMENTS = {
    "a text without an end, of quotes that are none": b'"' + b'\\"' * (LENGTH // 2) + b"[" * 40,
    "the same behind brackets": b"[" * 20 + b'"' + b'\\"' * (LENGTH // 2) + b"{" * 40,
    "a text without an end, of backslashes": b"[" * 20 + b'"' + b"\\\\" * (LENGTH // 2) + b"[" * 40 + b"\\",
    "texts without a word": b'[["' + b'"' * LENGTH + b"[" * 40,
    "brackets that close what is not open": b"]" * LENGTH + b"[" * 40,
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_what_is_nested_is_found_in_one_look(document):
    begun = time.thread_time()
    with pytest.raises(JoseError):
        decode_json(document)
    with pytest.raises(MintwardenError):
        read_json(document, "the export")
    assert time.thread_time() - begun < ENOUGH


def test_what_is_nested_behind_a_text_is_counted_and_what_is_within_it_is_not():
    assert decode_json(b'{"a":"' + b'[{\\"' * 100 + b'"}')["a"] == '[{"' * 100
    with pytest.raises(JoseError, match="too deeply"):
        decode_json(b'{"a\\\\":' + b"[" * 40 + b"]" * 40 + b"}")

"""For how long an answer may be used again: RFC 9111 as far as it goes, and bounds of our own."""

from __future__ import annotations

import pytest

from mintwarden.authn.freshness import LONGEST, UNSAID, lifetime

DATE = (b"Date", b"Thu, 26 Nov 2026 00:00:00 GMT")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], UNSAID),
        ([(b"Cache-Control", b"public")], UNSAID),
        ([(b"cache-control", b"max-age=60")], 60_000),
        ([(b"Cache-Control", b'Max-Age="60"')], 60_000),
        ([(b"cache-control", b"public"), (b"Cache-Control", b"max-age=60")], 60_000),
        ([(b"cache-control", b"max-age=60, s-maxage=10")], 10_000),
        ([(b"cache-control", b"max-age=60"), (b"age", b"20")], 40_000),
        ([(b"cache-control", b"max-age=60"), (b"age", b"90")], 0),
        ([(b"cache-control", b"max-age=31536000, immutable")], LONGEST),
        ([(b"cache-control", b"max-age=0")], 0),
        ([(b"cache-control", b"no-store, max-age=60")], 0),
        ([(b"cache-control", b"no-cache")], 0),
        ([(b"cache-control", b"private, max-age=60")], 0),
        ([(b"cache-control", b"max-age=60, max-age=600")], 0),
        ([(b"cache-control", b"max-age=-1")], 0),
        ([(b"cache-control", b"max-age=soon")], 0),
        ([(b"cache-control", "max-age=٦٠".encode())], 0),
        ([(b"vary", b"*"), (b"cache-control", b"max-age=60")], 0),
        ([DATE, (b"Expires", b"Thu, 26 Nov 2026 00:01:00 GMT")], 60_000),
        ([DATE, (b"Expires", b"Thu, 26 Nov 2026 00:01:00 GMT"), (b"cache-control", b"max-age=5")], 5_000),
        ([DATE, (b"Expires", b"0")], 0),
        ([DATE, (b"Expires", b"Wed, 25 Nov 2026 00:00:00 GMT")], 0),
        ([(b"Expires", b"Thu, 26 Nov 2026 00:01:00 GMT")], 0),
    ],
)
def test_for_how_long_an_answer_may_be_used_again(headers, expected):
    assert lifetime(headers) == expected

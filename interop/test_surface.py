"""Every function of the two client libraries is used by a script here, or it is said why it cannot be.

A new release of either that can do more fails here, until something is asked with what it brings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from interop.deployment import run

HERE = Path(__file__).parent
ENCRYPTION = "nothing that is issued here is encrypted"
INTERNAL = "not documented: openid-client's, which is used"
ERROR = "the type of an error, which checks tell by its members"
UNUSED: Mapping[str, Mapping[str, str]] = {
    "oauth4webapi": {
        "checkProtocol": "a helper of the library's own requests, which all call it",
        "formPostResponse": INTERNAL,
        "getContentType": INTERNAL,
        "resolveEndpoint": INTERNAL,
        "AuthorizationResponseError": ERROR,
        "OperationProcessingError": ERROR,
        "ResponseBodyError": ERROR,
        "UnsupportedOperationError": ERROR,
        "WWWAuthenticateChallengeError": ERROR,
    },
    "openid-client": {
        "enableDecryptingResponses": ENCRYPTION,
        "getDecryptedResponses": ENCRYPTION,
        "ClientError": ERROR,
        "Configuration": "made by `discovery` and `dynamicClientRegistration`, which are used",
        "AuthorizationResponseError": ERROR,
        "ResponseBodyError": ERROR,
        "WWWAuthenticateChallengeError": ERROR,
    },
}


def exported(library: str) -> set[str]:
    """The functions that it has for whoever imports it."""
    functions = "Object.keys(all).filter((name) => typeof all[name] === 'function')"
    program = f"import * as all from '{library}'; console.log(JSON.stringify({functions}))"
    return set(json.loads(run("node", "--input-type=module", "--eval", program, folder=HERE)))


def used(library: str) -> set[str]:
    """Those that our scripts call, by the name under which each imports it."""
    found: set[str] = set()
    for script in HERE.glob("*.mjs"):
        text = script.read_text(encoding="utf-8")
        for name in re.findall(rf"^import \* as (\w+) from '{library}'$", text, flags=re.MULTILINE):
            found |= set(re.findall(rf"(?<![\w.]){name}\.(\w+)", text))
    return found


@pytest.mark.parametrize("library", UNUSED)
def test_nothing_that_a_library_can_do_is_left_out(library: str):
    assert exported(library) - used(library) == set(UNUSED[library])


@pytest.mark.parametrize("library", UNUSED)
def test_what_is_called_exists(library: str):
    """A script with a misspelled name would not run; one that is no longer run would go unnoticed."""
    assert all(UNUSED[library].values())
    assert len(used(library) & exported(library)) > len(UNUSED[library])


def test_each_script_is_run_by_a_test():
    """By its name, or by that of the script that imports it."""
    tests = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py"))
    scripts = {path.name: path.read_text(encoding="utf-8") for path in HERE.glob("*.mjs")}
    shared = {name for name in scripts if any(f"from './{name}'" in text for text in scripts.values())}
    assert {name for name in scripts if f'"{name}"' not in tests} == shared

"""`mintwarden`, assembled from one module per command, each imported when its command is used.

A command is one file: `app/cli/<name>.py` holds `app = cyclopts.App(name="<name>", ...)`, and stands in
`COMMANDS`. A command returns None or its exit code, prints its result to standard output, and raises
`MintwardenError` for everything that goes wrong: `main` alone turns errors into diagnostics.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

import cyclopts

from mintwarden import __version__
from mintwarden.app.cli.diagnose import diagnose

COMMANDS: tuple[tuple[str, str], ...] = (
    ("quickstart", "Start a real server on the example company and watch its tokens being decided."),
    ("init", "Write a small commented bundle and configuration to start from."),
    ("serve", "Serve tokens."),
    ("check", "Check a bundle and run its scenarios."),
    ("policy", "Look over and test a policy before it bites."),
    ("config", "Check and show the configuration."),
    ("explain", "Tell the whole story of one decision or token."),
    ("revoke", "Make tokens good no more before their end."),
    ("ledger", "Look at, prove and audit the ledger."),
    ("exception", "Grant something outside the rules for a while, and pay it back."),
    ("review", "Look back over what was decided."),
    ("keys", "List, rotate and revoke signing keys."),
    ("admin", "Administer for the first time."),
    ("passkeys", "Invite people to make a passkey, list and remove them."),
    ("clients", "Manage the secrets of clients."),
    ("signals", "Verify streams of security events."),
    ("directory", "Import the directory and its entitlements."),
    ("facts", "Push facts."),
    ("store", "Migrate, inspect and back up the store."),
    ("demo", "Put the example company to work, to try things on."),
)
"""Every command and what it is for, in reading order."""

UNHEARD = 141
"""As shells say it of a process that wrote to a pipe which nobody read: no success, and no check that failed."""


def build() -> cyclopts.App:
    """The whole command line; importing no command before it is used."""
    app = cyclopts.App(
        name="mintwarden",
        help=(
            "A governed token service: rules decide every claim and scope, and a verifiable ledger says why.\n\n"
            "Exit codes: 0 done, 1 a check failed, 2 bad input, configuration or bundle, 3 something needed is "
            "unavailable, 70 an internal error, 130 interrupted, 141 nobody read on."
        ),
        version=__version__,
        result_action="return_int_as_exit_code_else_zero",
        exit_on_error=False,
        print_error=False,
        help_format="plaintext",
    )
    for order, (name, purpose) in enumerate(COMMANDS):
        app.command(f"mintwarden.app.cli.{name}:app", name=name, help=purpose, sort_key=order)
    return app


def _unheard() -> int:
    """The exit code of who writes where nobody reads; what is left to be written goes nowhere."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UNHEARD


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code.

    0 done, 1 a check failed, 2 bad input, configuration or bundle, 3 something needed is unavailable, 70 an
    internal error, 130 interrupted, 141 nobody read on.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = build()(words)
        sys.stdout.flush()  # a pipe that nobody reads is noticed here, and not when the interpreter ends
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _unheard()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # as rich tells it
            return _unheard()
        raise
    except Exception as error:  # noqa: BLE001 - the last place where an error can become a diagnostic
        return diagnose(error, as_json="--json" in words)
    return code if isinstance(code, int) else 0

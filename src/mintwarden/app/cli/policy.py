"""`mintwarden policy ...`: what can be known about a policy before it bites, and who gets what by it."""

from __future__ import annotations

import cyclopts

COMMANDS: tuple[tuple[str, str], ...] = (
    ("lint", "Find what is well formed in a bundle and probably not meant."),
    ("test", "Run a bundle's scenarios, and say which rules and conditions they have seen both true and false."),
    ("prove", "Prove a bundle's assertions over all inputs, or show inputs that violate them."),
    ("diff", "Compare two bundles: what is written otherwise, and which requests get another token."),
    ("impact", "Replay the recorded decisions, with the facts as they were, under another bundle."),
    (
        "who-can",
        "Tell who gets a scope over the directory as it is: each in the best way, why, and what they would add.",
    ),
    (
        "what-can",
        "Tell every scope that a principal gets, each in the best way, and what it may act with.",
    ),
    ("groups", "Tell which groups carry which scopes, and which carry none."),
    (
        "promote",
        "Take the next step from observing towards enforcing, in one audience's file.",
    ),
    ("sign", "Say that a version is your work: its author signs it before approvers do."),
    ("pack", "Print a bundle, with the signatures beside it, as the body of `POST /admin/v1/versions`."),
    ("approve", "Say that a version may govern: as approvers do, once the author has signed it."),
    ("activate", "Let an approved version govern, on every node at once."),
    ("rollback", "Go back to a version that governed before, on every node at once."),
    (
        "history",
        "Show which version governed when, by whom and why, the last one first.",
    ),
    ("show", "Show a version: what it needs to govern and why, who has signed, who is missing. Nothing is changed."),
    ("findings", "Show the findings that break-glass left open, or close one after a review."),
    ("keygen", "Make a key to sign versions with, and print what `bundle.toml` takes of it."),
    ("bootstrap", "Write a first bundle that observes, from what an older system gives to groups, roles and clients."),
)
"""Every command and what it is for, in reading order: what a policy means, who may change it, which version governs."""

app = cyclopts.App(name="policy", help="Look over and test a policy before it bites.")
for order, (name, purpose) in enumerate(COMMANDS):
    # Each is loaded when it is used: some bring a solver with them.
    app.command(f"mintwarden.app.cli.policy_{name.replace('-', '_')}:app", name=name, help=purpose, sort_key=order)

"""Reviews a policy again and again, as the service does when it is asked to: `python -m bench.reviewer BUNDLE`."""

from __future__ import annotations

import sys
from pathlib import Path

from mintwarden.app.config import ReviewsConfig
from mintwarden.app.reviews.process import confine
from mintwarden.app.reviews.scenarios import tried
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import read_bundle
from mintwarden.policy.prove.prove import prove


def main(folder: Path) -> None:
    """Prove its assertions, run its scenarios and its mutants, until somebody ends it."""
    confine(ReviewsConfig().memory)
    texts = read_bundle(folder, Problems())
    while True:
        bundle = build_bundle(texts)
        prove(bundle)
        tried(bundle, texts, mutants=True, at_least=0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""`python -m mintwarden`: the command line."""

import sys

from mintwarden.app.cli import main

if __name__ == "__main__":
    sys.exit(main())

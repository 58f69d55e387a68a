"""`python -m mintwarden`: the command line."""

from mintwarden.app.cli import main

if __name__ == "__main__":
    main()

"""What holds the house rules that no ready-made lint knows: `python -m tools.lint`."""

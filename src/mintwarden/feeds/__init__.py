"""Shared Signals, in and out: what is said, to whom, and what follows, as plain message handlers."""

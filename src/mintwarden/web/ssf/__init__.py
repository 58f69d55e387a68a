"""Shared Signals over HTTP: what receivers ask of their streams, and the way to poll them."""

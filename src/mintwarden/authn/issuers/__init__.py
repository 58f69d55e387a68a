"""Trusted issuers as data: their keys, their shapes, and what their tokens prove."""

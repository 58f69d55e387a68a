"""Alembic reads the revisions in this folder; their order stands in `store/schema.py`."""

"""The bundle: read (`read`), parsed (`toml`), held against its shapes (`shape`, `kinds`, one module per part) and
against itself (`references`, `rules`), named (`digest`) and put together (`load`).
"""

"""A company to try the product on: a generated directory, sign-in services on loopback, and a story that is told.

Nothing here is used in service.
"""

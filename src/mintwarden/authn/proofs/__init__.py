"""Proofs that a request's sender holds a key, to which what is issued is bound."""

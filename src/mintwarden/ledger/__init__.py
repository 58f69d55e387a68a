"""The ledger: canonical entries, the Merkle tree over them, checkpoints, proofs, `record`, audit.

No SQL and no HTTP here: storage and transport come in through the ports.
"""

"""The shared words: frozen value types, the closed list of error kinds, `Clock`.

Nothing here behaves, reads, writes or waits. Every other room imports this one; it imports none.
"""

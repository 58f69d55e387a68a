"""Who may change the policy: the statement that is signed, signatures, the risk of a change, and whose word counts.

`statement` is the text, `wire`, `keys`, `sshsig` and `own` say whose signature it bears, `signed` reads both from one
file, `risk` says which quorum a change needs, `count` who has given a word that counts.
"""

"""What a change to a bundle changes: its parts, and what it means over all inputs.

`edition` is a bundle with its files, `parts` and `structure` compare what is written, `effects` what bounds and fills a
token, `slices` find which questions of the rules are asked otherwise, `forms` puts both bundles' answers to one
question into formulas, `meaning` asks the solver, `shrink` makes its example small, `diff` is the whole, `text` and
`markdown` tell it.
"""

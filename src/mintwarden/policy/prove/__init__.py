"""Assertions about a bundle, proved over all inputs: the rules as formulas, `decide`'s gates around them, examples.

`translate` turns Cedar into formulas, `party` and `request` stand for whom and what it is asked about, `grant`
says when `decide` grants, `prove` puts the question to the solver, `example` turns its answer into inputs that
`decide` is asked about.
"""

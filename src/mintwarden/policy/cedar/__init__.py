"""The rules: parsed and validated by Cedar, compiled to Python for the hot path, with Cedar itself as the oracle.

`rules` reads text into `Rule`s, `slice` answers for one action and scope, `oracle` lets Cedar answer the same
question, `walk` and `change` explain an answer. `operators` is the one place that says what an operator means.
"""

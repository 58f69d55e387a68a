"""The straight line (`pipeline.py`), one file per grant, and what looks at or ends tokens."""

"""Whether an audience that observes may be enforced: who would lose what, what would mend it, and a verdict."""

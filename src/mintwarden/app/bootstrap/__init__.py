"""A first bundle from the mapping of an older system: one file per shape, one neutral value, one writer."""

"""A trajectory as an update of weights."""

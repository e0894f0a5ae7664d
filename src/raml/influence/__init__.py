"""Which tokens move the answer, and whether that agrees with writing a trajectory again from the middle."""

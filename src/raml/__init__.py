"""See where along a reasoning trajectory the answer is made."""

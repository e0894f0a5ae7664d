"""How a p-value is written, and where it says something."""

SIGNIFICANT = 0.05
"""A p-value below this counts, adjusted for the number of tests where there are several."""


def write_p(p: float) -> str:
    """Write a p-value for a table: "0.012", or "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def write_relation(p: float) -> str:
    """Write a p-value behind its sign, for a sentence: "= 0.012", or "< 0.001"."""
    return write_p(p) if p < 0.001 else f"= {write_p(p)}"

"""Rows of a summary as figures take them."""

from __future__ import annotations

from collections.abc import Collection

from raml.figures.influence import Bar
from raml.influence.table import is_significant
from raml.records import Family, InfluenceSummary


def list_bars(summary: InfluenceSummary, families: Collection[Family]) -> list[Bar]:
    """List the groups of some families, over all trajectories."""
    return [
        Bar(
            label=row.group,
            n=row.n_units,
            mean=row.mean_relative,
            median=row.median_relative,
            size=row.size and row.size.difference,
            direction=row.direction and row.direction.difference,
            size_stands_out=is_significant(row.size),
            direction_stands_out=is_significant(row.direction),
            is_compared=row.family != "all",
        )
        for row in summary.rows
        if row.family in families and row.outcome == "all"
    ]

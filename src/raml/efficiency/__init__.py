"""Shorter reasoning and what it costs: budgets, summaries, early exits, pruning, and the control by chance."""

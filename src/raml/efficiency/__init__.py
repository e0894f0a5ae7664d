"""Shorter reasoning and what it costs: budgets, summaries, early exits, pruning, and the control by chance.

`cut`, `waiting`, `summaries`, `early_exit` and `pruning` make attempts, all answered by `contexts`; `exit_check`
decodes early exits for real. `frontier` sets accuracy against tokens, `choice` picks a rule on one half of the
questions and reports it on the other, `table` writes both.
"""

from raml.efficiency.choice import describe_choice, split_questions
from raml.efficiency.contexts import Answered, Context, answer_contexts
from raml.efficiency.cut import CutSettings, choose_budgets, cut_trajectories
from raml.efficiency.early_exit import ExitRule, find_exit, simulate_exits, thin_readout
from raml.efficiency.exit_check import Agreement, verify_exits
from raml.efficiency.frontier import build_frontier, build_frontiers
from raml.efficiency.leaks import cut_leaks
from raml.efficiency.pruning import PruneSettings, measure_contributions, prune_trajectories
from raml.efficiency.summaries import SummarySettings, answer_from_summaries, make_requests
from raml.efficiency.waiting import WaitSettings, choose_longer_budgets, wait

__all__ = [
    "Agreement",
    "Answered",
    "Context",
    "CutSettings",
    "ExitRule",
    "PruneSettings",
    "SummarySettings",
    "WaitSettings",
    "answer_contexts",
    "answer_from_summaries",
    "build_frontier",
    "build_frontiers",
    "choose_budgets",
    "choose_longer_budgets",
    "cut_leaks",
    "cut_trajectories",
    "describe_choice",
    "find_exit",
    "make_requests",
    "measure_contributions",
    "prune_trajectories",
    "simulate_exits",
    "split_questions",
    "thin_readout",
    "verify_exits",
    "wait",
]

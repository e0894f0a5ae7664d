"""The headings of help texts, in the order in which they appear."""

from __future__ import annotations

from cyclopts import Group

START = Group.create_ordered("Start here")
COLLECT = Group.create_ordered("Questions and trajectories")
MEASURE = Group.create_ordered("Where is the answer made?")
WEIGHTS = Group.create_ordered("A trajectory as an update of weights")
MODELS = Group.create_ordered("Train and compare models")
SHOW = Group.create_ordered("Results")
HELP = Group.create_ordered("Help")

OPTIONS = Group.create_ordered("Options")
DATA_SET = Group.create_ordered("For data sets by name")
LIVEMATHBENCH = Group.create_ordered("For livemathbench-hard")
LIVECODEBENCH = Group.create_ordered("For livecodebench")
REASONING_GYM = Group.create_ordered("For reasoning-gym")
TINY = Group.create_ordered("For tiny")
COLUMNS = Group.create_ordered("Columns with other names")
PREFERENCE = Group.create_ordered("For trl-preference")
PROMPT = Group.create_ordered("The prompt")
SAMPLING = Group.create_ordered("How tokens are drawn")
PROBE = Group.create_ordered("What is scored")
READOUT = Group.create_ordered("The model's own answer along the way")
CURVES = Group.create_ordered("What counts, and intervals")
CUT = Group.create_ordered("For cut and wait")
SUMMARY = Group.create_ordered("For summary")
EXIT = Group.create_ordered("For early-exit")
PRUNE = Group.create_ordered("For prune")
ASK = Group.create_ordered("How the answer is asked for")
PLANE = Group.create_ordered("The plane")
PREFIXES = Group.create_ordered("Which prefixes, and what is asked")
STEPS = Group.create_ordered("The gradient steps")
STATISTICS = Group.create_ordered("Intervals and tests")
LOADING = Group.create_ordered("How models are loaded")
ENGINE = Group.create_ordered("vLLM and servers")
EVERYWHERE = Group.create_ordered("For all commands")

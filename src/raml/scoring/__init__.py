"""Score an answer after every prefix of a trajectory: the definition, and the one-pass engine that equals it."""

from raml.scoring.definition import answer_nll_by_definition
from raml.scoring.one_pass import answer_nll_in_one_pass
from raml.scoring.support import find_obstacle

__all__ = ["answer_nll_by_definition", "answer_nll_in_one_pass", "find_obstacle"]

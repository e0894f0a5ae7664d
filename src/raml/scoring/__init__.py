"""Score an answer after every prefix of a trajectory: the definition, and the one-pass engine that equals it."""

from raml.scoring.definition import answer_nll_by_definition
from raml.scoring.engine import Job
from raml.scoring.memory import choose_chunk_tokens, plan_batches
from raml.scoring.one_pass import Scores, answer_nll_in_one_pass, score_in_one_pass
from raml.scoring.support import find_obstacle
from raml.scoring.writing import Writing, Written, write_by_definition

__all__ = [
    "Job",
    "Scores",
    "Writing",
    "Written",
    "answer_nll_by_definition",
    "answer_nll_in_one_pass",
    "choose_chunk_tokens",
    "find_obstacle",
    "plan_batches",
    "score_in_one_pass",
    "write_by_definition",
]

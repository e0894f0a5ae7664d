"""Which tokens move the answer, and whether that agrees with writing a trajectory again from the middle."""

from raml.influence.faithfulness import FaithfulnessSummary, summarize_faithfulness
from raml.influence.faithfulness_table import judge_faithfulness
from raml.influence.sentences import SentenceImportance, measure_sentences
from raml.influence.subsample import Subsample, choose_trajectories
from raml.influence.summary import summarize_influences
from raml.influence.tokens import WordPlace, clean_words, find_words, key_influence, measure_influence

__all__ = [
    "FaithfulnessSummary",
    "SentenceImportance",
    "Subsample",
    "WordPlace",
    "choose_trajectories",
    "clean_words",
    "find_words",
    "judge_faithfulness",
    "key_influence",
    "measure_influence",
    "measure_sentences",
    "summarize_faithfulness",
    "summarize_influences",
]

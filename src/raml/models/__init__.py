"""Models: found by name, hashed, loaded with tokenizer and identity, or only their tokenizer."""

from raml.models.files import EMBEDDED, find_source, find_weight_files, hash_config, hash_weights
from raml.models.load import LoadedModel, load_model, set_threads
from raml.models.tokenizer import LoadedTokenizer, first_line, load_tokenizer

__all__ = [
    "EMBEDDED",
    "LoadedModel",
    "LoadedTokenizer",
    "find_source",
    "find_weight_files",
    "first_line",
    "hash_config",
    "hash_weights",
    "load_model",
    "load_tokenizer",
    "set_threads",
]

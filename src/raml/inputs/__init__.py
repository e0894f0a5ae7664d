"""What comes from outside, read with bounds: plain files alone, and templates that may not run on for ever."""

from raml.inputs.plain import MALFORMED, check_plain, is_there, open_plain, read_plain, read_plain_text
from raml.inputs.template import bound_template

__all__ = [
    "MALFORMED",
    "bound_template",
    "check_plain",
    "is_there",
    "open_plain",
    "read_plain",
    "read_plain_text",
]

"""Check a program that a model wrote by running it, shut off from the machine as far as the kernel allows."""

from raml.answers.code.cpus import count_usable_cpus
from raml.answers.code.fences import extract_code
from raml.answers.code.isolation import Isolation
from raml.answers.code.limits import CodeResult, Limits
from raml.answers.code.private_tests import decode_private_tests
from raml.answers.code.probe import find_isolation
from raml.answers.code.program import check_program
from raml.answers.code.tasks import check_by_task

__all__ = [
    "CodeResult",
    "Isolation",
    "Limits",
    "check_by_task",
    "check_program",
    "count_usable_cpus",
    "decode_private_tests",
    "extract_code",
    "find_isolation",
]

"""One file a figure or table of the paper: the steps that lead to it, and what is measured in the end."""

from raml.studies.conclusion import conclude, plan_study, read_packaged, read_results
from raml.studies.plan import STUDIES, load_setup

__all__ = ["STUDIES", "conclude", "load_setup", "plan_study", "read_packaged", "read_results"]

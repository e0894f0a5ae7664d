"""What stages will take, predicted before they run: tokens, bytes and seconds.

Each kind of stage has a module: tracing (`raml trace`), generation (`raml sample`), units with paths, adapting and
rewriting (`raml update`, `align`, `adapt`, `faithfulness`), plane (`raml landscape`), shortening (`raml compress`), and
tables for those that need no model, which is why torch is not imported here.
"""

from raml.planning.record import Duration, Part, Plan

__all__ = ["Duration", "Part", "Plan"]

"""Records to and from other tools' files."""

from raml.interchange.plain import PlainTrajectory, read_plain

__all__ = ["PlainTrajectory", "read_plain"]

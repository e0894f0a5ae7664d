"""The command line: `raml COMMAND …`, one file a command."""

from raml.cli.main import app, main, run

__all__ = ["app", "main", "run"]

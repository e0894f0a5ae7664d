"""`python -m raml`, the same as the command `raml`."""

from raml.cli import main

main()

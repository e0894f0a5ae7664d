import pytest

from raml.cli import run


@pytest.fixture
def raml(capsys):
    """Run a command line in this process; returns exit code, standard output, standard error."""

    def run_here(*arguments):
        code = run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run_here

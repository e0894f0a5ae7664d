import pytest

from .sources import Trap


@pytest.fixture
def trap(tmp_path):
    """A pickle that must not be run; a test of it fails if it was."""
    trap = Trap(tmp_path / "sprung")
    yield trap
    assert not trap.sprung.exists(), "a pickle was run"

"""The example notebook runs, and shows what its text says."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "examples" / "first_steps.ipynb"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    made = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(made, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return made, folder


def find_shown(notebook, code):
    """What the cell that ends with this code shows, by kind of content."""
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.endswith(code)]
    return cell.outputs[-1].data


def test_the_example_notebook_shows_records_and_a_figure_and_writes_a_pdf(notebook):
    made, folder = notebook
    assert "<svg" in find_shown(made, "\ntraces[0]")["text/html"]
    assert find_shown(made, "\nfigure")["image/png"].startswith("iVBORw0KGgo")  # a PNG's first bytes
    assert "[" in find_shown(made, "by_question.tolist())")["text/html"]
    assert (folder / "traces.pdf").read_bytes().startswith(b"%PDF")


def test_the_example_notebook_is_kept_without_outputs():
    kept = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.outputs and cell.execution_count is None for cell in kept.cells if cell.cell_type == "code")

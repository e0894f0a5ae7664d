"""What `raml trace` says at its end."""

from dataclasses import replace

from raml.cli.trace_summary import summarize_readouts
from raml.probes import read_out_trajectory
from raml.records import Question
from raml.sampling import make_imported


def test_readouts_that_could_not_be_checked_are_not_counted_as_wrong(tiny, capsys):
    text = "<think>\n3+4=7\n</think>\n\n\\boxed{7}"
    trajectory = make_imported(tiny, Question("q", "Calculate 3+4.", "7"), text, 0)
    readout = read_out_trajectory(tiny, trajectory, "7")
    unclear = replace(readout, id="other", correct=(None,) * len(readout.correct))
    summarize_readouts([trajectory], [readout, unclear])
    out = capsys.readouterr().out
    assert "1 readouts begin or end with an answer that could not be checked" in out
    assert "of 1 at the start" in out

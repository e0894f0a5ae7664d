"""Which pieces are run, what they are charged with, and what a shortened trajectory has."""

import pytest

from raml.errors import DataError
from raml.planning import rehearsal
from raml.planning.load import Load
from raml.planning.record import Duration
from raml.planning.rehearsal import Piece, lengthen, rehearse, shorten
from raml.records import check_record


@pytest.fixture
def run_pieces(monkeypatch):
    """Rehearse pieces that would take a second a row, the first time five more; the rows that were run."""
    done = []

    def measure(run):
        run()
        return Duration(done[-1] + 5 * (len(done) == 1), done[-1])

    monkeypatch.setattr(rehearsal, "measure_time", measure)

    def run(sizes, budget_s):
        def make(n):
            return Piece(Load(rows=n), lambda: done.append(n) or Load(rows=n))

        return rehearse([make(n) for n in sizes], Load(rows=10), budget_s), done

    return run


def test_the_first_piece_is_run_twice_and_what_it_took_longer_counts_once(run_pieces):
    result, done = run_pieces([2, 4], budget_s=100)
    assert done == [2, 2, 4]
    assert (result.once.wall_s, result.once.cpu_s) == (5, 0)
    assert result.costs.predict(Load(rows=10)).wall_s == pytest.approx(10)


def test_a_piece_that_would_take_too_long_is_left_out(run_pieces):
    result, done = run_pieces([2, 4, 50, 8], budget_s=20)
    assert done == [2, 2, 4, 8]
    assert result.n_pieces == 3


def test_two_pieces_are_run_whatever_they_take(run_pieces):
    assert run_pieces([200, 400, 800], budget_s=1)[1] == [200, 200, 400]


def test_a_piece_that_can_not_be_run_is_left_out(run_pieces):
    def fail():
        raise DataError("no")

    assert rehearse([Piece(Load(rows=1), fail)], Load(rows=1)) is None


def test_a_shortened_trajectory_has_its_first_tokens_and_their_text(make_trajectory):
    trajectory = make_trajectory("one two three four", logprobs=(-1.0, -2.0, -3.0, -4.0), reasoning_len=3)
    short = shorten(trajectory, 2)
    assert (short.token_ids, short.text, short.token_ends) == ((0, 1), "one two ", (4, 8))
    assert (short.reasoning_len, short.logprobs) == (2, (-1.0, -2.0))
    assert short.id != trajectory.id
    whole = shorten(trajectory, 9)
    assert (whole.token_ids, whole.reasoning_len) == (trajectory.token_ids, 3)


def test_a_lengthened_trajectory_has_its_tokens_and_their_text_again_and_again(make_trajectory):
    long = lengthen(make_trajectory("one two three", logprobs=(-1.0, -2.0, -3.0)), 5)
    assert long.token_ids == (0, 1, 2, 0, 1)
    assert (long.text, long.token_ends) == ("one two three one two ", (4, 8, 14, 18, 22))
    assert long.logprobs == (-1.0, -2.0, -3.0, -1.0, -2.0)
    check_record(long)
    assert lengthen(make_trajectory(""), 5).token_ids == ()

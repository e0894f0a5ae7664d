import math
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError, NumericsError
from raml.updates.proposition import (
    OneLayer,
    build_exact_update,
    build_paper_update,
    compute_attention,
    compute_output,
    find_attention_weights,
    find_query_map,
    measure_rank,
    measure_residual,
)
from raml.updates.reader import Reader


def real(*rows):
    return torch.tensor(rows, dtype=torch.float64)


ZERO, ONE = torch.zeros(2, 2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
PROMPT, TOKEN = real([1, 0], [0, 1]), real([1, 1])
UNIFORM = OneLayer(
    w_q=ZERO, w_k=ONE, w_v=ONE, w_1=real([3, -3], [0, 0]), b_1=real([0, 1])[0], w_2=real([1], [5]), b_2=real([1])[0]
)
"""Its query is zero, so it attends to all tokens alike. FFN(x, y) = relu(3x) + 5 relu(1 - 3x) + 1."""
LINEAR = replace(UNIFORM, w_q=ONE)


def draw(seed, d, n_prompt, n_read=1, *, n_distinct=None, scale=1.0):
    """Draw weights and embeddings; the rows are of n_distinct tokens, so they may repeat."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    wide = d + 3
    layer = OneLayer(
        *(normal(d, d) / d**0.5 for _ in range(3)),
        *(normal(d, wide), normal(wide), normal(wide, d), normal(d)),
    )
    rows = scale * normal(n_distinct or n_prompt + n_read, d)
    chosen = rows[torch.randint(len(rows), (n_prompt + n_read,), generator=generator)] if n_distinct else rows
    return layer, chosen[:n_prompt], chosen[n_prompt:]


shapes = st.tuples(st.integers(0, 2**31), st.integers(2, 32), st.integers(1, 48), st.integers(1, 6))


# The model.


def test_two_tokens_attended_alike_give_what_hand_arithmetic_gives():
    """The mean of (1, 0) and (0, 1) is (1/2, 1/2); FFN: relu(3/2) + 5 relu(1 - 3/2) + 1 = 5/2."""
    assert compute_attention(UNIFORM, PROMPT).tolist() == pytest.approx([0.5, 0.5])
    assert compute_output(UNIFORM, PROMPT).tolist() == pytest.approx([2.5])


def test_the_last_token_asks_and_scores_are_divided_by_the_root_of_the_keys_width():
    """(0, 1) scores 0 with (1, 0) and 1/√2 with itself: weights 1 and e^(1/√2), over their sum."""
    share = math.exp(0.5**0.5) / (1 + math.exp(0.5**0.5))
    assert compute_attention(LINEAR, PROMPT).tolist() == pytest.approx([1 - share, share])
    assert compute_attention(LINEAR, PROMPT, kind="linear").tolist() == pytest.approx([0, 0.5**0.5])


@pytest.mark.parametrize("positions", [False, True])
def test_the_reader_is_this_model(positions):
    """At each place of a text the reader's logits are the head on this model's output after the tokens until there."""
    reader = Reader(11, 6, positions=positions, seed=0).double()
    with torch.no_grad():
        reader.b_1 += torch.linspace(-1, 1, 24)
        reader.b_2 += torch.linspace(-1, 1, 6)
        ids = torch.tensor([3, 5, 3, 3, 10, 0, 7])
        logits = reader(torch.stack([ids, ids.flip(0)]))[0]
        for place in range(1, len(ids) + 1):
            output = compute_output(reader.freeze(), reader.embed(ids[:place]))
            torch.testing.assert_close(output @ reader.head, logits[place - 1])


def test_without_positions_the_order_of_earlier_tokens_is_not_seen_and_with_them_it_is():
    plain, placed = (Reader(11, 6, positions=positions, seed=0) for positions in (False, True))
    one, other = torch.tensor([[3, 5, 7, 1]]), torch.tensor([[7, 3, 5, 1]])
    torch.testing.assert_close(plain(one)[0, -1], plain(other)[0, -1])
    assert (placed(one)[0, -1] - placed(other)[0, -1]).abs().max() > 0.01


# The map of the query.


def test_the_query_map_takes_the_prompts_last_token_to_the_trajectorys():
    """P = I + (0, 1)ᵀ ((1, 1) - (0, 1)): the second row becomes (1, 1)."""
    assert find_query_map(PROMPT[-1], TOKEN[-1]).tolist() == [[1, 0], [1, 1]]


def test_read_the_papers_way_round_the_query_map_misses():
    """E_t P = E_l: P = I + (1, 1)ᵀ ((0, 1) - (1, 1)) / 2 takes (0, 1) to (-1/2, 1), not to (1, 1)."""
    assert (PROMPT[-1] @ find_query_map(TOKEN[-1], PROMPT[-1])).tolist() == [-0.5, 1]


def test_the_query_map_differs_from_the_identity_by_a_matrix_of_rank_one():
    source, target = torch.randn(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    change = find_query_map(source, target) - torch.eye(9)
    assert torch.linalg.matrix_rank(change) == 1
    torch.testing.assert_close(source @ change, target - source)
    # No other change that does the same is smaller: it acts only along the source, by the length that is needed.
    assert change.norm().item() == pytest.approx(((target - source).norm() / source.norm()).item())


# The paper's construction.


def test_the_papers_keys_and_values_are_what_hand_arithmetic_gives():
    """(1, 1) = C E_l with C = (1, 1). I + CᵀC = [[2, 1], [1, 2]] has eigenvalues 3 along (1, 1) and 1 along (1, -1)."""
    root = torch.tensor([[3**0.5 + 1, 3**0.5 - 1], [3**0.5 - 1, 3**0.5 + 1]], dtype=torch.float64) / 2
    updated = build_paper_update(LINEAR, PROMPT, TOKEN)
    torch.testing.assert_close(updated.w_k, root)
    torch.testing.assert_close(updated.w_v, root)
    assert updated.w_q.tolist() == [[1, 0], [1, 1]]
    values = build_paper_update(LINEAR, PROMPT, TOKEN, gram="values")
    torch.testing.assert_close(values.w_v, real([2, 1], [1, 2]))
    torch.testing.assert_close(values.w_k, ONE)


@pytest.mark.parametrize("gram", ["both", "values"])
def test_with_linear_attention_it_reads_the_token_by_hand_arithmetic(gram):
    """(1, 1) scores 1, 1 and 2, over √2: the sum is (1 + 2, 1 + 2) / √2."""
    updated = build_paper_update(LINEAR, PROMPT, TOKEN, gram=gram)
    assert compute_attention(LINEAR, torch.cat([PROMPT, TOKEN]), kind="linear").tolist() == pytest.approx(
        [3 / 2**0.5] * 2
    )
    assert compute_attention(updated, PROMPT, kind="linear").tolist() == pytest.approx([3 / 2**0.5] * 2)


def test_with_softmax_it_misses_by_what_hand_arithmetic_gives():
    """Attended alike, the three tokens have the mean (2/3, 2/3); the changed values have (√3/2, √3/2).

    The outputs are relu(2) + 1 = 3 and relu(3√3/2) + 1.
    """
    residual = measure_residual(UNIFORM, build_paper_update(UNIFORM, PROMPT, TOKEN), PROMPT, TOKEN)
    assert residual.attention == pytest.approx(3 * 3**0.5 / 4 - 1)
    assert residual.output == pytest.approx((1.5 * 3**0.5 + 1) / 3 - 1)


@pytest.mark.parametrize("seed", range(3))
def test_a_prompt_of_one_token_read_again_shows_the_gap_whatever_the_weights(seed):
    """Two equal tokens attend to the same value v. One token has weight one too, and its value becomes (1 + 1)^½ v."""
    layer, prompt, _ = draw(seed, 5, 1)
    updated = build_paper_update(layer, prompt, prompt)
    assert measure_residual(layer, updated, prompt, prompt).attention == pytest.approx(2**0.5 - 1)
    updated = build_paper_update(layer, prompt, prompt, gram="values")
    assert measure_residual(layer, updated, prompt, prompt).attention == pytest.approx(1)


@given(shapes, st.sampled_from(["both", "values"]), st.booleans())
def test_with_linear_attention_it_is_exact_where_the_prompt_spans_the_trajectory(shape, gram, repeats):
    """Also where rows repeat, where the prompt is longer than d, and for several tokens."""
    seed, d, n_prompt, n_read = shape
    layer, prompt, _ = draw(seed, d, n_prompt, n_distinct=max(1, n_prompt // 2) if repeats else None)
    mix = torch.randn(n_read, n_prompt, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    trajectory = mix @ prompt
    updated = build_paper_update(layer, prompt, trajectory, gram=gram)
    both = torch.cat([prompt, trajectory])
    # Compared with the largest that terms of any sign could add up to: the sum itself can be near zero.
    scores = find_attention_weights(layer, both, kind="linear")
    size = (scores.abs()[:, None] * both).norm(dim=1).sum() * torch.linalg.matrix_norm(layer.w_v, 2)
    miss = compute_attention(updated, prompt, kind="linear") - compute_attention(layer, both, kind="linear")
    assert miss.norm() < 1e-7 * size


def test_what_lies_outside_the_prompts_span_is_lost():
    """(1, 1, 3) and (1, 1, -8) look the same from (1, 0, 0) and (0, 1, 0), so keys and values change alike."""
    layer, *_ = draw(0, 3, 2)
    prompt = real([1, 0, 0], [0, 1, 0])
    first, second = (build_paper_update(layer, prompt, real([1, 1, last])) for last in (3, -8))
    torch.testing.assert_close(first.w_k, second.w_k)
    torch.testing.assert_close(first.w_v, second.w_v)
    assert measure_residual(layer, first, prompt, real([1, 1, 3]), kind="linear").attention > 0.1


@pytest.mark.parametrize(
    ("build", "changed"),
    [(build_paper_update, ["w_q", "w_k", "w_v"]), (build_exact_update, ["w_q", "w_v"])],
    ids=["paper", "exact"],
)
def test_the_feed_forward_network_stays_and_nothing_is_written_over(build, changed):
    layer, prompt, read = draw(0, 4, 3)
    before = {field.name: getattr(layer, field.name).clone() for field in fields(layer)}
    updated = build(layer, prompt, read)
    assert [name for name, weight in before.items() if not torch.equal(getattr(updated, name), weight)] == changed
    assert all(torch.equal(getattr(layer, name), weight) for name, weight in before.items())


@pytest.mark.parametrize("build", [build_paper_update, build_exact_update])
def test_the_prompts_last_token_asks_as_the_last_of_several_trajectory_tokens_did(build):
    layer, prompt, read = draw(0, 4, 3, 5)
    torch.testing.assert_close(prompt[-1] @ build(layer, prompt, read).w_q, read[-1] @ layer.w_q)


# The exact construction.


def test_the_exact_values_are_what_hand_arithmetic_gives():
    """Wanted (2/3, 2/3), there (1/2, 1/2) = α E_l; (α E_l)† = (1, 1)ᵀ, times (1/6, 1/6)."""
    updated = build_exact_update(UNIFORM, PROMPT, TOKEN)
    torch.testing.assert_close(updated.w_v, real([7 / 6, 1 / 6], [1 / 6, 7 / 6]))
    assert compute_attention(updated, PROMPT).tolist() == pytest.approx([2 / 3, 2 / 3])
    assert compute_output(updated, PROMPT).tolist() == pytest.approx([3])


@given(shapes, st.floats(-3, 2), st.booleans(), st.booleans())
def test_the_exact_construction_is_exact(shape, log_scale, repeats, move_query):
    """For random prompts shorter and longer than d, with equal tokens, from flat to one-hot attention."""
    seed, d, n_prompt, n_read = shape
    n_distinct = max(1, (n_prompt + n_read) // 3) if repeats else None
    layer, prompt, read = draw(seed, d, n_prompt, n_read, n_distinct=n_distinct, scale=10**log_scale)
    updated = build_exact_update(layer, prompt, read, move_query=move_query)
    residual = measure_residual(layer, updated, prompt, read)
    assert residual.attention < 1e-10
    assert residual.output < 1e-10
    change = updated.w_v - layer.w_v
    assert torch.linalg.matrix_rank(change, atol=1e-9 * layer.w_v.norm()) <= 1
    assert (updated.w_q is layer.w_q) is not move_query
    assert updated.w_k is layer.w_k


@pytest.mark.parametrize("move_query", [True, False])
def test_the_exact_change_is_needed_and_no_larger_than_it_must_be(move_query):
    """α E_l has to move by o - α E_l W_v, and no matrix moves it by more than its norm times |α E_l|."""
    layer, prompt, read = draw(4, 6, 9)
    updated = build_exact_update(layer, prompt, read, move_query=move_query)
    before = replace(updated, w_v=layer.w_v)
    assert measure_residual(layer, before, prompt, read).attention > 0.01
    mean = find_attention_weights(updated, prompt) @ prompt
    missing = compute_attention(layer, torch.cat([prompt, read])) - compute_attention(before, prompt)
    assert (updated.w_v - layer.w_v).norm().item() == pytest.approx((missing.norm() / mean.norm()).item())


def test_a_change_made_for_one_prompt_is_wrong_for_another():
    layer, prompt, read = draw(4, 6, 9)
    _, other, _ = draw(5, 6, 9)
    updated = build_exact_update(layer, prompt, read)
    assert measure_residual(layer, updated, other, read).attention > 0.01


def test_a_weighted_mean_of_zero_is_refused_and_the_other_query_may_do():
    """(1, 0) and (-1, 0) attended alike cancel. Asked by (2, 0) they do not: e^√2 and e^-√2."""
    prompt, read = real([1, 0], [-1, 0]), real([2, 0])
    with pytest.raises(DataError, match=r"2 embeddings have the weighted mean zero.*move_query=True"):
        build_exact_update(UNIFORM, prompt, read, move_query=False)
    with pytest.raises(DataError, match="move_query=False"):
        build_exact_update(UNIFORM, prompt, read)
    updated = build_exact_update(LINEAR, prompt, read)
    assert measure_residual(LINEAR, updated, prompt, read).attention < 1e-14


def test_a_mean_that_is_zero_but_for_rounding_is_refused():
    """0.1 + 0.2 - 0.3 is 5.6e-17 in float64."""
    prompt = real([0.1, 0.1], [0.2, 0.2], [-0.3, -0.3])
    assert 0 < prompt.sum(dim=0).norm() < 1e-16
    with pytest.raises(DataError, match="3 embeddings have the weighted mean zero"):
        build_exact_update(UNIFORM, prompt, TOKEN)


# What is measured and what is refused.


@pytest.mark.parametrize(
    ("prompt", "rank", "is_full", "distance"),
    [
        ([[1, 0, 0], [0, 1, 0]], 2, True, 0.6),
        ([[1, 0, 0], [0, 1, 0], [1, 0, 0]], 2, False, 0.6),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 2], [1, 1, 1]], 3, False, 0),
        ([[4, 0, 3]], 1, True, 0),
    ],
    ids=["independent", "a token twice", "more than d", "the token itself"],
)
def test_ranks_and_distances_are_what_hand_arithmetic_gives(prompt, rank, is_full, distance):
    """Of (4, 0, 3), of length 5, 3 is outside the plane of the first two axes."""
    measured = measure_rank(real(*prompt), real([4, 0, 3]))
    assert (measured.n_tokens, measured.rank, measured.is_full) == (len(prompt), rank, is_full)
    assert measured.distance == pytest.approx(distance, abs=1e-14)
    assert measured.is_spanned is (distance == 0)


def test_the_farthest_of_several_tokens_counts():
    assert measure_rank(real([1, 0]), real([1, 0], [3, 4], [2, 0])).distance == pytest.approx(0.8)


@pytest.mark.parametrize("use", [build_exact_update, build_paper_update])
def test_the_embedding_zero_at_the_prompts_end_is_refused(use):
    with pytest.raises(DataError, match="last token has the embedding zero"):
        use(LINEAR, real([1, 0], [0, 0]), TOKEN)


def test_empty_prompts_and_trajectories_are_refused():
    for use in (build_exact_update, build_paper_update):
        with pytest.raises(DataError, match="prompt has no tokens"):
            use(LINEAR, PROMPT[:0], TOKEN)
        with pytest.raises(DataError, match="trajectory has no tokens"):
            use(LINEAR, PROMPT, TOKEN[:0])
    with pytest.raises(DataError, match="trajectory has no tokens"):
        measure_rank(PROMPT, TOKEN[:0])
    with pytest.raises(DataError, match="prompt has no tokens"):
        measure_residual(LINEAR, LINEAR, PROMPT[:0], TOKEN)


def test_a_wanted_output_of_zero_has_no_relative_error():
    silent = replace(UNIFORM, w_v=ZERO)
    with pytest.raises(DataError, match="attention output after the trajectory is zero"):
        measure_residual(silent, silent, PROMPT, TOKEN)


def test_what_is_not_finite_is_an_error():
    spoilt = replace(UNIFORM, w_v=ONE * float("nan"))
    with pytest.raises(NumericsError, match="exact update"):
        build_exact_update(spoilt, PROMPT, TOKEN)
    with pytest.raises(NumericsError, match=r"Eq\. 19"):
        build_paper_update(spoilt, PROMPT, TOKEN)
    with pytest.raises(NumericsError, match="relative error of the attention output is nan"):
        measure_residual(UNIFORM, spoilt, PROMPT, TOKEN)


def test_the_documentations_example_runs(capsys):
    page = Path(__file__).parents[2] / "docs" / "proposition.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(code, page.name, "exec"), {})
    paper, exact = map(float, capsys.readouterr().out.split())
    assert exact < 1e-12 < 0.001 < paper

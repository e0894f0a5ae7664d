import pytest
import torch

from raml.updates.reader import Reader, measure_loss, train_reader


def test_the_loss_is_that_of_the_trajectorys_tokens_alone(make_trajectory):
    """Worked out token by token; the trajectories have different lengths, and prompts of two tokens."""
    reader = Reader(7, 4, positions=True, seed=0)
    trajectories = [make_trajectory("one two three"), make_trajectory("one two three four five")]
    losses = []
    with torch.no_grad():
        for one in trajectories:
            for i, token in enumerate(one.token_ids):
                logits = reader(torch.tensor([one.prompt_ids + one.token_ids[:i]]))[0, -1]
                losses.append(-logits.log_softmax(dim=-1)[token].item())
    assert measure_loss(reader, trajectories) == pytest.approx(sum(losses) / 8, rel=1e-5)


def test_training_learns_a_text_by_heart_and_is_repeated_by_its_seed(make_trajectory):
    text = [make_trajectory("one two three four")]
    readers = [Reader(7, 8, positions=True, seed=0) for _ in range(2)]
    before = measure_loss(readers[0], text)
    for reader in readers:
        train_reader(reader, text, 100, seed=1, size=2)
    assert measure_loss(readers[0], text) < 0.2 < 1 < before
    for ours, theirs in zip(readers[0].parameters(), readers[1].parameters(), strict=True):
        assert torch.equal(ours, theirs)

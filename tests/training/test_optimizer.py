import torch
from torch import nn

from raml.training.optimizer import MuonAdamW


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(7, 4)
        self.layer = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)

    def forward(self, ids):
        return self.norm(self.layer(self.embedding(ids)))


def make(net):
    return MuonAdamW(net, learning_rate=0.01, muon_learning_rate=0.1, weight_decay=0.01, adam_beta2=0.98)


def step(net, optimizer, seed):
    torch.manual_seed(seed)
    loss = (net(torch.arange(7)) - torch.randn(7, 4)).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def test_matrices_go_to_muon_and_the_rest_to_adamw_each_as_pytorch_does_it():
    net, twin = Net(), Net()
    optimizer = make(net)
    muon = torch.optim.Muon([twin.layer.weight], lr=0.1, momentum=0.95, weight_decay=0.01, adjust_lr_fn="original")
    rest = [p for p in twin.parameters() if p is not twin.layer.weight]
    adamw = torch.optim.AdamW(rest, lr=0.01, betas=(0.9, 0.98), weight_decay=0.0)
    for seed in range(3):
        step(net, optimizer, seed)
        torch.manual_seed(seed)
        (twin(torch.arange(7)) - torch.randn(7, 4)).square().mean().backward()
        muon.step()
        adamw.step()
        twin.zero_grad()
    for name, value in net.state_dict().items():
        assert torch.equal(value, twin.state_dict()[name]), name


def test_a_scheduler_reaches_both_parts():
    net = Net()
    optimizer = make(net)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if step else 1.0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    step(net, optimizer, 0)
    assert not torch.equal(net.state_dict()["layer.weight"], before["layer.weight"])
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.0]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    step(net, optimizer, 1)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_saved_state_goes_on_as_if_nothing_had_happened(tmp_path):
    whole, first, second = Net(), Net(), Net()
    optimizer = make(whole)
    for seed in range(4):
        step(whole, optimizer, seed)
    optimizer = make(first)
    for seed in range(2):
        step(first, optimizer, seed)
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    second.load_state_dict(first.state_dict())
    optimizer = make(second)
    optimizer.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    for seed in range(2, 4):
        step(second, optimizer, seed)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name

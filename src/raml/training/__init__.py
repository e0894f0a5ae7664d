"""Training as outer loops over trajectories: SFT, DPO and GRPO, thin over TRL, and the meta-learning reference.

settings.py   a dataclass a technique
sft.py, dpo.py, grpo.py   what each technique reads, and TRL's trainer for it
arguments.py  what TRL is given: the model, how batches are cut, its arguments
engine.py     the outer loop around them: checkpoints, metrics, the finished model
maml.py       Algorithms 1 and 2 with the inner loop written out
"""

from importlib import import_module
from typing import TYPE_CHECKING

from raml.training.settings import DpoSettings, GrpoSettings, OuterLoopSettings, SftSettings

if TYPE_CHECKING:
    from raml.training.dpo import train_dpo
    from raml.training.engine import TrainingResult
    from raml.training.grpo import RewardFunction, train_grpo
    from raml.training.sft import train_sft

# Loaded at first use: the settings alone, which help texts need, cost no torch.
_HOMES = {
    "RewardFunction": "grpo",
    "TrainingResult": "engine",
    "train_dpo": "dpo",
    "train_grpo": "grpo",
    "train_sft": "sft",
}

__all__ = [
    "DpoSettings",
    "GrpoSettings",
    "OuterLoopSettings",
    "RewardFunction",
    "SftSettings",
    "TrainingResult",
    "train_dpo",
    "train_grpo",
    "train_sft",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'raml.training' has no attribute {name!r}")
    return getattr(import_module(f"raml.training.{_HOMES[name]}"), name)

"""The tiny world's tokenizer: a byte-level BPE that can write any text and keeps the world's own words whole."""

from __future__ import annotations

import re

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from raml.prompts import INSTRUCTIONS, THINK_CLOSE, THINK_OPEN
from raml.records import PromptSettings, TraceSettings
from raml.tiny.expressions import FOLDS
from raml.tiny.oracle import ALTERNATIVE, CORRECTION, LEADS, OPENINGS

PAD, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
MAX_LENGTH = 1024
ROLES = ("system", "user", "assistant")
# Digits, operators, line ends and \boxed{ stand alone, so no token straddles what the model has to copy or compute.
# (One token for each two-digit number makes texts 7 % shorter, but the facts are learnt more slowly: it was tried.)
SPLIT = r"\d|\\boxed\{|\*\*| ?[A-Za-z]+|[^\sA-Za-z\d]|\s"
CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.role == 'assistant' %}"
    "{% generation %}{{- message.content + '<|im_end|>' }}{% endgeneration %}{{- '\\n' }}"
    "{%- else %}{{- message.content + '<|im_end|>\\n' }}{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
    "{%- endif %}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer; every call gives the same one.

    Its words are those of the world's prompts (with the paper's instruction) and trajectories, each one token. Any
    other text falls apart into bytes and is restored exactly.
    """
    words = _list_words()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    # A pair must occur twice to be merged, and each word is seen twice: so exactly the words become whole.
    trainer = trainers.BpeTrainer(
        vocab_size=4 * MAX_LENGTH,
        min_frequency=2,
        special_tokens=[PAD, TURN_START, TURN_END],
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator([word for word in words for _ in range(2)], trainer)
    # Like Qwen3's, the thinking tags are no special tokens: decoding without special tokens keeps them.
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in (THINK_OPEN, THINK_CLOSE)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PAD,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=MAX_LENGTH,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _list_words() -> list[str]:
    """List the texts that become one token each: the words of prompts and trajectories."""
    texts = [
        "Calculate",
        INSTRUCTIONS["math"],
        PromptSettings().delimiter,
        TraceSettings().bridge,
        *ROLES,
        *FOLDS,
        *OPENINGS,
        *LEADS,
        CORRECTION,
        ALTERNATIVE,
        " so",
    ]
    words = [word for text in texts for word in re.findall(r"\\boxed\{|\*\*| ?[A-Za-z]+", text)]
    return list(dict.fromkeys(words))

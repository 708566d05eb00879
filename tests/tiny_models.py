"""Model folders small enough for a unit test: random weights, a word-piece vocabulary of a few dozen terms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = [
    "the",
    "a",
    "of",
    "and",
    "in",
    "park",
    "running",
    "quickly",
    "cats",
    "dogs",
    "cat",
    "dog",
    "weather",
    "now",
    "what",
    "is",
    "heat",
    "flow",
    "wing",
    "pressure",
    "shock",
    "boundary",
    "layer",
    "vaccine",
    "cell",
    "blood",
    "protein",
    "dose",
]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = ["##s", "##ing", "##ed", "run", "jump", "?", ".", ","]
TEXTS = [
    "the cats and dogs running in the park",
    "what is the weather now?",
    "heat flow of a wing, pressure and shock",
    "cat",
    "",
    "vaccine dose blood protein cell " * 8,
]


def tokenizer() -> Any:
    """A fast BERT-like tokenizer."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate(SPECIALS + WORDS + PIECES)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
        model_input_names=["input_ids", "attention_mask"],
    )


def masked_lm(family: str = "bert", *, seed: int = 0, hidden: int = 16) -> Any:
    """A random masked LM of a family: bert, distilbert, roberta or modernbert."""
    import torch
    import transformers

    size = len(SPECIALS + WORDS + PIECES)
    torch.manual_seed(seed)
    if family == "distilbert":
        config = transformers.DistilBertConfig(
            vocab_size=size, dim=hidden, hidden_dim=2 * hidden, n_layers=2, n_heads=2, max_position_embeddings=66
        )
        model = transformers.DistilBertForMaskedLM(config)
    else:
        common = {
            "vocab_size": size,
            "hidden_size": hidden,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 2 * hidden,
            "max_position_embeddings": 66,
            "pad_token_id": 0,
        }
        if family == "bert":
            model = transformers.BertForMaskedLM(transformers.BertConfig(**common))
        elif family == "roberta":
            model = transformers.RobertaForMaskedLM(transformers.RobertaConfig(**common, type_vocab_size=1))
        else:
            config = transformers.ModernBertConfig(
                **common, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3, local_attention=16
            )
            model = transformers.ModernBertForMaskedLM(config)
    with torch.no_grad():  # random logits are small; spread them so that terms differ and some are negative
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(12)
    return model.eval()


def save_masked_lm(folder: Path, family: str = "bert", *, seed: int = 0) -> Path:
    """A folder as `transformers` saves it."""
    masked_lm(family, seed=seed).save_pretrained(str(folder))
    tokenizer().save_pretrained(str(folder))
    return folder

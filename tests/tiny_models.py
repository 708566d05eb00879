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
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
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
    _spread(model)
    return model.eval()


def _spread(model: Any) -> None:
    """Random logits are small: larger weights make terms differ and some negative."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(12)


def save_masked_lm(folder: Path, family: str = "bert", *, seed: int = 0) -> Path:
    """A folder as `transformers` saves it."""
    masked_lm(family, seed=seed).save_pretrained(str(folder))
    tokenizer().save_pretrained(str(folder))
    return folder


def save_cross_encoder(folder: Path, *, seed: int = 0) -> Path:
    """A random cross-encoder with one logit."""
    import torch
    import transformers

    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(SPECIALS + WORDS + PIECES),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=66,
        num_labels=1,
    )
    model = transformers.BertForSequenceClassification(config)
    _spread(model)
    model.save_pretrained(str(folder))
    tokenizer().save_pretrained(str(folder))
    return folder


def save_byte_level_masked_lm(folder: Path, *, seed: int = 0) -> Path:
    """A random RoBERTa with its own kind of tokenizer: byte-level BPE, <pad> with id 1, positions counted from 2."""
    import torch
    import transformers
    from tokenizers import ByteLevelBPETokenizer

    backend = ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    backend.train_from_iterator(TEXTS * 5, vocab_size=330, special_tokens=specials, show_progress=False)
    folder.mkdir(parents=True, exist_ok=True)
    # Through the two files every RoBERTa has: constructors of the tokenizer differ between versions of transformers.
    backend.save_model(str(folder))
    (folder / "config.json").write_text('{"model_type": "roberta"}')
    fast = transformers.AutoTokenizer.from_pretrained(str(folder))
    fast.save_pretrained(str(folder))
    torch.manual_seed(seed)
    config = transformers.RobertaConfig(
        vocab_size=len(fast) + 3,  # padded, as real vocabularies are
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=66,
        type_vocab_size=1,
    )
    model = transformers.RobertaForMaskedLM(config)
    _spread(model)
    model.save_pretrained(str(folder))
    return folder

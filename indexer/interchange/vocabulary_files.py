"""Files that list the terms of a vocabulary: terms.jsonl, and those of tokenizers."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

from indexer.errors import DataError, is_panic
from indexer.interchange.jsonl.text import json_value
from indexer.interchange.whole import read_whole
from indexer.vectors import MAX_TERM_ID

TERMS_FILE = "terms.jsonl"
FILES = (TERMS_FILE, "tokenizer.json", "vocab.txt", "vocab.json")
"""Names a folder's vocabulary may have, the first found counts."""
_LARGEST = 1 << 30


def load_terms(path: Path) -> list[str]:
    """The terms of a file, or of the first of FILES in a folder; place i for id i.

    Raises
    ------
    DataError : no such file, or not a vocabulary.
    """
    if path.is_dir():
        for name in FILES:
            if (path / name).is_file():
                return load_terms(path / name)
        raise DataError(f"no vocabulary here (looked for {', '.join(FILES)})", path=path)
    try:
        return parsed_terms(read_whole(path, _LARGEST), path)
    except OSError as error:
        raise DataError(f"the vocabulary cannot be read: {error}", path=path) from error


def parsed_terms(raw: bytes, path: Path) -> list[str]:
    """The terms of a file, whose name says what it holds.

    Raises
    ------
    DataError : not a vocabulary.
    """
    try:
        text = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8").read()  # line ends as in files opened as text
    except UnicodeDecodeError as error:
        raise DataError(f"the vocabulary cannot be read: {error}", path=path) from error
    if path.suffix == ".jsonl":
        return _strings(text, path)
    if path.suffix != ".json":
        return text.removesuffix("\n").split("\n") if text else []
    try:
        content = json_value(text)
    except ValueError as error:
        raise DataError(f"not JSON: {error}", path=path) from error
    ids = _tokenizer_ids(text, path) if isinstance(content, dict) and "model" in content else content
    if not isinstance(ids, dict) or not all(type(i) is int and 0 <= i <= MAX_TERM_ID for i in ids.values()):
        raise DataError("expected a tokenizer, or one object of term strings and their ids", path=path)
    return _by_id(ids, path)


def _by_id(ids: dict[str, int], path: Path) -> list[str]:
    size = max(ids.values(), default=-1) + 1
    if size > 4 * len(ids) + 1024:
        raise DataError(f"{len(ids)} terms with ids up to {size - 1}; expected ids without large gaps", path=path)
    terms = [f"[{i}]" for i in range(size)]
    for term, i in ids.items():
        terms[i] = term
    return terms


def _strings(text: str, path: Path) -> list[str]:
    """One JSON string a line, read as one array: many times faster than line by line, which is left to name a fault.

    Where every end of a line stands between two quotes and the array has a string a line, no string goes over an end.
    """
    lines, values = text.split("\n")[:-1], []
    if text[:1] == '"' and text.endswith('"\n') and text.count('"\n"') == len(lines) - 1:
        with contextlib.suppress(ValueError, RecursionError):
            values = json.loads(f"[{','.join(lines)}]")
    if len(values) == len(lines) and set(map(type, values)) <= {str}:
        return list(values)
    return [_string(line, path, number) for number, line in enumerate(lines, 1)]


def _string(line: str, path: Path, number: int) -> str:
    try:
        value = json_value(line)
    except ValueError as error:
        raise DataError(f"expected one JSON string a line: {error}", path=path, line=number) from error
    if not isinstance(value, str):
        raise DataError("expected one JSON string a line", path=path, line=number)
    return value


def _tokenizer_ids(text: str, path: Path) -> dict[str, int]:
    from tokenizers import Tokenizer

    try:
        return dict(Tokenizer.from_str(text).get_vocab(with_added_tokens=True))
    except BaseException as error:  # tokenizers raises bare Exception, or panics, for a fault of its file
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise DataError(f"the tokenizer does not load: {error}", path=path) from error

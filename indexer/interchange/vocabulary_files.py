"""Files that list the terms of a vocabulary: terms.jsonl, and those of tokenizers.

terms.jsonl has one JSON string a line, and may begin with an object: {"after": "tokenizer.json", "terms": N, "mark": M} says that the
first N terms are those of the tokenizer beside it ("[7]" for id 7 where it has none), and that each string that follows stands for
mark + string. So a vocabulary of two parts does not hold the first one twice.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import DataError, is_panic
from indexer.interchange.jsonl.text import json_value
from indexer.interchange.whole import read_whole
from indexer.vectors import MAX_TERM_ID

TERMS_FILE = "terms.jsonl"
TOKENIZER_FILE = "tokenizer.json"
FILES = (TERMS_FILE, TOKENIZER_FILE, "vocab.txt", "vocab.json")
"""Names a folder's vocabulary may have, the first found counts."""
LARGEST = 1 << 30
"""Bytes of a vocabulary."""


@dataclass(frozen=True, slots=True)
class AfterTokenizer:
    """The object that terms.jsonl may begin with.

    Parameters
    ----------
    terms : N, that come before the file's. mark : what stands before each of the file's.
    """

    terms: int
    mark: str

    def __str__(self) -> str:
        return f"after {self.terms} terms of {TOKENIZER_FILE} and marked {self.mark!r}"

    @property
    def line(self) -> bytes:
        """As the file begins with it."""
        content = {"after": TOKENIZER_FILE, "terms": self.terms, "mark": self.mark}
        return json.dumps(content, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def of(cls, folder: Path, terms: list[str], mark: str) -> AfterTokenizer | None:
        """For terms that are those of the tokenizer in a folder; None where there is none, or others.

        Parameters
        ----------
        terms : that come first in a vocabulary. mark : what all that follow begin with.
        """
        path, made = folder / TOKENIZER_FILE, cls(len(terms), mark)
        if not terms or not path.is_file():
            return None
        try:
            return made if made.before(read_whole(path, LARGEST), path) == terms else None
        except DataError:
            return None

    @classmethod
    def split(cls, raw: bytes, path: Path) -> tuple[AfterTokenizer | None, bytes]:
        """The object, or None where a file has none, and the lines that follow.

        Parameters
        ----------
        raw : of a terms.jsonl. path : the file, for the message.

        Raises
        ------
        DataError : another object.
        """
        if not raw.startswith(b"{"):
            return None, raw
        line, _, rest = raw.partition(b"\n")
        try:
            content = json_value(line.decode())
        except ValueError:
            content = None
        match content:
            case {"after": "tokenizer.json", "terms": int(terms), "mark": str(mark)} if (
                type(terms) is int and 0 < terms <= MAX_TERM_ID
            ):
                return cls(terms, mark), rest
        raise DataError(
            'expected one JSON string a line, or an object {"after": "tokenizer.json", "terms": N, "mark": M} first',
            path=path,
            line=1,
        )

    def before(self, tokenizer: bytes, path: Path) -> list[str]:
        """The strings of the first N terms.

        Parameters
        ----------
        tokenizer : what tokenizer.json holds. path : that file, for the message.

        Raises
        ------
        DataError : no tokenizer, or one that does not go with N.
        """
        known = parsed_terms(tokenizer, path)
        if not len(known) <= self.terms <= 4 * len(known) + 1024:
            raise DataError(f"{len(known)} terms, {TERMS_FILE} expects {self.terms} of them", path=path)
        return [*known, *(f"[{i}]" for i in range(len(known), self.terms))]


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
        return parsed_terms(read_whole(path, LARGEST), path, lambda name: read_beside(path, name))
    except OSError as error:
        raise DataError(f"the vocabulary cannot be read: {error}", path=path) from error


def read_beside(path: Path, name: str) -> bytes:
    """Another file of the folder that a terms.jsonl lies in.

    Raises
    ------
    DataError
    """
    try:
        return read_whole(path.with_name(name), LARGEST)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"begins with the terms of {name}, which cannot be read beside it: {reason}", path=path
        ) from error


def parsed_terms(raw: bytes, path: Path, beside: Callable[[str], bytes] | None = None) -> list[str]:
    """The terms of a file, whose name says what it holds.

    Parameters
    ----------
    raw : its content. path : its name. beside : reads another file of its folder, where there is one.

    Raises
    ------
    DataError : not a vocabulary. OSError, KeyError : as `beside`.
    """
    if path.suffix == ".jsonl":
        after, strings = listed_strings(raw, path)
        if after is None:
            return strings
        if beside is None:
            raise DataError(f"begins with the terms of a {TOKENIZER_FILE}, and comes without one", path=path)
        before = after.before(beside(TOKENIZER_FILE), path.with_name(TOKENIZER_FILE))
        return [*before, *(after.mark + string for string in strings)]
    text = _decoded(raw, path)
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


def listed_strings(raw: bytes, path: Path) -> tuple[AfterTokenizer | None, list[str]]:
    """What terms.jsonl begins with, and the strings that it lists itself.

    Parameters
    ----------
    raw : its content. path : its name, for the message.

    Raises
    ------
    DataError : a line that is no string.
    """
    after, lines = AfterTokenizer.split(raw, path)
    return after, _strings(_decoded(lines, path), path, 1 if after is None else 2)


def _decoded(raw: bytes, path: Path) -> str:
    try:
        return io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8").read()  # line ends as in files opened as text
    except UnicodeDecodeError as error:
        raise DataError(f"the vocabulary cannot be read: {error}", path=path) from error


def _by_id(ids: dict[str, int], path: Path) -> list[str]:
    size = max(ids.values(), default=-1) + 1
    if size > 4 * len(ids) + 1024:
        raise DataError(f"{len(ids)} terms with ids up to {size - 1}; expected ids without large gaps", path=path)
    terms = [f"[{i}]" for i in range(size)]
    for term, i in sorted(ids.items()):  # of two for one id the same one counts whenever the file is read
        terms[i] = term
    return terms


def _strings(text: str, path: Path, first_line: int) -> list[str]:
    """One JSON string a line, read as one array: many times faster than line by line, which is left to name a fault.

    Where every end of a line stands between two quotes and the array has a string a line, no string goes over an end.
    """
    lines, values = text.split("\n")[:-1], []
    half = "\\ud" in text or "\\uD" in text  # may be half a character, which the slow way refuses
    if not half and text[:1] == '"' and text.endswith('"\n') and text.count('"\n"') == len(lines) - 1:
        with contextlib.suppress(ValueError, RecursionError):
            values = json.loads(f"[{','.join(lines)}]")
    if len(values) == len(lines) and set(map(type, values)) <= {str}:
        return list(values)
    return [_string(line, path, number) for number, line in enumerate(lines, first_line)]


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

"""The binding against native/include/sparseir.h, read with a few regular expressions, and what it refuses to load."""

from __future__ import annotations

import ctypes
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from indexer import SparseVectors, build_index
from indexer.errors import NativeError
from indexer.native import engine, header
from indexer.native import library as binding

CHECKOUT = Path(__file__).parents[2]
TEXT = (CHECKOUT / "native/include/sparseir.h").read_text()
CODE = re.sub(r"/\*.*?\*/", "", TEXT, flags=re.DOTALL)
SCALARS = {
    **{"int": ctypes.c_int, "char": ctypes.c_char, "float": ctypes.c_float, "double": ctypes.c_double},
    **{f"{u}int{b}_t": getattr(ctypes, f"c_{u}int{b}") for u in ("", "u") for b in (8, 16, 32, 64)},
}
PROTOTYPES = (2, "fb1d77051ddf1d85")
"""SIR_ABI_VERSION and the digest of all prototypes under it."""


def constants():
    """Every enumerator; none of the header leaves its value out but the number after a list of values."""
    return {name: int(value) for name, value in re.findall(r"\b(SIR_\w+) = (\d+)", CODE)}


def ctype(declaration):
    """The ctypes type and the name of one declarator such as `const uint8_t *deleted` or `uint64_t queries[7]`."""
    base, stars, name, length = re.fullmatch(
        r"(?:const\s+)?(?:struct\s+)?(\w+)((?:\s|\*|\bconst\b)*)(\w*)\s*(?:\[(\w+)\])?", declaration.strip()
    ).groups()
    if "*" in stars:
        return ctypes.c_void_p, name
    kind = SCALARS[base]
    return kind if length is None else kind * int(constants().get(length, length)), name


def struct_fields(body):
    body = re.sub(r"\(\*(\w+)\)\s*\([^)]*\)", r"*\1", body)  # pointers to functions are pointers
    for declaration in filter(None, map(str.strip, body.split(";"))):
        first, *others = declaration.split(",")
        yield ctype(first)
        prefix = re.match(r"\s*(?:const\s+)?\w+\s+", first)[0]
        for other in others:
            yield ctype(prefix + other)


STRUCTS = dict(re.findall(r"typedef struct (sir_\w+) \{(.*?)\n\} \1;", CODE, flags=re.DOTALL))
FUNCTIONS = {
    name: (result, [p.strip() for p in parameters.split(",")])
    for result, name, parameters in re.findall(r"SIR_API ([\w\s*]+?)\b(sir_\w+)\(([^)]*)\);", CODE)
}


def test_the_header_was_read_whole():
    assert len(STRUCTS) == CODE.count("typedef struct") - 1  # sir_index is opaque
    assert len(FUNCTIONS) == len(re.findall(r"^SIR_API ", CODE, flags=re.MULTILINE))


@pytest.mark.parametrize(("name", "struct"), [*zip(STRUCTS, header.STRUCTS, strict=True)])
def test_a_struct_has_the_fields_of_the_header(name, struct):
    """Names, order and types."""
    assert struct.__name__ == "".join(word.title() for word in name.split("_")[1:])
    assert [(kind, field) for field, kind in struct._fields_] == list(struct_fields(STRUCTS[name]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_types_of_the_header(name):
    result, parameters = FUNCTIONS[name]
    kinds = () if parameters == ["void"] else tuple(ctype(re.sub(r"\w+\[\d+\]$", "*p", p))[0] for p in parameters)
    returned = None if result.strip() == "void" else ctype(result)[0]
    assert header.FUNCTIONS[name] == (returned, kinds)


def test_the_binding_declares_nothing_else():
    assert list(header.FUNCTIONS) == list(FUNCTIONS)


def test_constants_are_those_of_the_header():
    values = constants()
    assert values["SIR_ABI_VERSION"] == header.ABI_VERSION
    assert values["SIR_NUM_ENGINES"] == header.NUM_ENGINES
    engines = {**engine.ENGINES, "approximate": engine.APPROXIMATE}
    assert engines == {n[11:].lower(): v for n, v in values.items() if n.startswith("SIR_ENGINE_")}
    assert {n[8:].lower(): v for n, v in values.items() if n.startswith("SIR_ISA_")} == engine.INSTRUCTION_SETS
    assert binding.library.sir_format_version() == header.FORMAT_VERSION


def test_changed_prototypes_raise_the_version():
    """Layouts are compared number by number when the library is loaded; of functions only the version is."""
    text = " ".join(repr(FUNCTIONS).replace("\\n", " ").split()).encode()
    assert (header.ABI_VERSION, hashlib.sha256(text).hexdigest()[:16]) == PROTOTYPES, (
        "a prototype changed: raise SIR_ABI_VERSION and ABI_VERSION, and note the new digest here"
    )


def build(tmp_path, source):
    """A library of one's own."""
    code, out = tmp_path / "other.c", tmp_path / "other.so"
    code.write_text(source)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", out, code], check=True)
    return out


STUBS = "".join(f"void {name}(void) {{}}\n" for name in header.FUNCTIONS if name != "sir_abi")


def numbers(values):
    listed = ", ".join(map(str, values))
    return (
        f"static const unsigned abi[] = {{{listed}}};\n"
        f"const unsigned *sir_abi(unsigned *count) {{ *count = {len(values)}; return abi; }}\n"
    )


def with_changed(place, value):
    values = header.abi()
    values[place] = value
    return values


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("int nothing;", "has no function sir_format_version"),
        (STUBS, "has no function sir_abi"),
        (STUBS + numbers(with_changed(0, 9)), "ABI version 9, expected 2"),
        (STUBS + numbers(with_changed(1, 7)), "index format version 7, expected 1"),
        (STUBS + numbers(with_changed(2, 300)), "size of Error 300, expected 252"),
        (STUBS + numbers(with_changed(9, 12)), "offset of SegmentSource.deleted 12, expected 16"),
        (STUBS + numbers(header.abi()[:-1]), f"{len(header.abi()) - 1} numbers, expected {len(header.abi())}"),
    ],
)
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_library_of_other_sources_is_refused(tmp_path, source, message):
    other = binding.Library(build(tmp_path, source))
    with pytest.raises(NativeError, match=message) as caught:
        other.sir_search()
    assert "make native" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"no library"])
def test_a_file_that_is_no_library_is_refused(tmp_path, content):
    path = tmp_path / "libsparseir.so"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NativeError, match="is not built" if content is None else "does not load"):
        binding.Library(path).sir_abi()


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The packages of the checkout without a library, an index, and a query."""
    folder = tmp_path_factory.mktemp("copy")
    for package in ("indexer", "sparseir"):
        shutil.copytree(CHECKOUT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    build_index(folder / "index", SparseVectors.from_rows([{0: 1.0}], 2))
    sparse.save_npz(folder / "queries.npz", sparse.csr_matrix([[1.0, 0.0]], dtype=np.float32))
    return folder


def sparseir(folder, *arguments):
    command = [sys.executable, "-m", "sparseir.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "is not built"), (b"", "does not load"), (STUBS, "has no function sir_abi")]
)
def test_the_command_line_says_it_in_one_line(tmp_path, copy, content, message):
    """A library that is missing, empty, or of an earlier version; what needs none runs all the same."""
    library = copy / "indexer/native/libsparseir.so"
    library.unlink(missing_ok=True)
    if content is not None:
        library.write_bytes(content if isinstance(content, bytes) else build(tmp_path, content).read_bytes())
    found = sparseir(copy, "search", "index", "--query-vectors", "queries.npz")
    assert (found.returncode, found.stdout) == (1, "")
    assert re.fullmatch(rf"error: the C library .*{message}.*make native.*\n", found.stderr), found.stderr
    assert sparseir(copy, "--version").returncode == 0

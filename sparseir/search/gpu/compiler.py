"""Compiling the kernels for the device at hand: NVRTC where it can be loaded, else nvcc; the result is cached by content."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sparseir.errors import NativeError

SOURCES = ("kernels.cu", "task.h", "block.cuh", "score.cuh", "hybrid.cuh", "select.cuh")
_NVRTC_NAMES = ("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2")
_NVRTC_PACKAGES = ("nvidia.cu13", "nvidia.cuda_nvrtc")


def source_folder() -> Path:
    """Where the kernel sources are: the checkout, else the installed package."""
    here = Path(__file__).resolve().parent
    for folder in (here.parents[2] / "native" / "cuda", here / "cuda"):
        if (folder / SOURCES[0]).is_file():
            return folder
    raise NativeError(f"the CUDA sources are missing beside {here}; reinstall sparseir")


def compiled_kernels(arch: str, cache: Path | None = None) -> bytes:
    """The kernels as machine code.

    Parameters
    ----------
    arch : e.g. 'sm_90'. cache : folder of compiled modules; None is the user's cache folder.

    Raises
    ------
    NativeError : neither NVRTC nor nvcc is there, or the sources do not compile.
    """
    folder = source_folder()
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in SOURCES}
    digest = hashlib.sha256("\0".join([arch, *texts.values()]).encode()).hexdigest()[:32]
    cache = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparseir" / "kernels"
    cached = cache / f"{arch}-{digest}.cubin"
    if cached.is_file():
        return cached.read_bytes()
    image = compile_source(texts, arch)
    _store(cached, image)
    return image


def compile_source(texts: dict[str, str], arch: str) -> bytes:
    """Machine code of the first of some CUDA sources; the others are what it includes, by name.

    Raises
    ------
    NativeError : neither NVRTC nor nvcc is there, or the sources do not compile.
    """
    nvrtc = _load_nvrtc()
    return _compile_nvrtc(nvrtc, texts, arch) if nvrtc is not None else _compile_nvcc(texts, arch)


def _store(path: Path, image: bytes) -> None:
    """Keep a module for the next process; a cache that cannot be written only costs the time to compile again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(image)
        Path(file.name).replace(path)
    except OSError:
        return


def _load_nvrtc() -> ctypes.CDLL | None:
    """NVRTC from the system, or from the package that comes with torch."""
    candidates = list(_NVRTC_NAMES)
    for package in _NVRTC_PACKAGES:
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for place in (spec.submodule_search_locations or []) if spec else []:
            candidates += [str(p) for p in sorted(Path(place).glob("lib/libnvrtc.so.*"))]
    for name in candidates:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _compile_nvrtc(nvrtc: ctypes.CDLL, texts: dict[str, str], arch: str) -> bytes:
    main, *headers = texts
    contents = (ctypes.c_char_p * len(headers))(*(texts[n].encode() for n in headers))
    names = (ctypes.c_char_p * len(headers))(*(n.encode() for n in headers))
    program = ctypes.c_void_p()
    status = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), texts[main].encode(), main.encode(), len(headers), contents, names
    )
    if status:
        raise NativeError(f"NVRTC refused the program (status {status})")
    options = (ctypes.c_char_p * 2)(f"--gpu-architecture={arch}".encode(), b"--std=c++17")
    try:
        if nvrtc.nvrtcCompileProgram(program, len(options), options):
            log = _nvrtc_text(nvrtc, "nvrtcGetProgramLog", program).rstrip(b"\0").decode("utf-8", "replace")
            raise NativeError(f"the CUDA kernels do not compile for {arch}:\n{log}")
        return _nvrtc_text(nvrtc, "nvrtcGetCUBIN", program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _nvrtc_text(nvrtc: ctypes.CDLL, what: str, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t(0)
    if getattr(nvrtc, what + "Size")(program, ctypes.byref(size)):
        raise NativeError(f"{what}Size failed")
    buffer = ctypes.create_string_buffer(size.value)
    if getattr(nvrtc, what)(program, buffer):
        raise NativeError(f"{what} failed")
    return buffer.raw


def _compile_nvcc(texts: dict[str, str], arch: str) -> bytes:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise NativeError(
            "the CUDA kernels need NVRTC or nvcc, and neither was found; "
            "pip install nvidia-cuda-nvrtc-cu12 (or the CUDA toolkit), or choose the torch backend"
        )
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in texts.items():
            (Path(scratch) / name).write_text(text, encoding="utf-8")
        source, output = Path(scratch) / next(iter(texts)), Path(scratch) / "kernels.cubin"
        command = [nvcc, f"-arch={arch}", "-std=c++17", "-O3", "-cubin", "-o", str(output), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NativeError(f"the CUDA kernels do not compile for {arch}:\n{done.stderr}")
        return output.read_bytes()

"""`--engine` and its companions: which engine answers, checked before anything is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments

if TYPE_CHECKING:
    from sparseir.search.engines import EngineConfig
    from sparseir.search.gpu import GpuConfig

EngineName = Annotated[
    str,
    arguments.Option(
        help="auto, exhaustive, block_filter, maxscore, wand, block_max_wand, gpu: exact and equal to the bit; exact_float: by "
        "the stored weights themselves; approximate."
    ),
]
GpuMemory = Annotated[str, arguments.Option(help="Device memory the gpu engine may take; batches are cut to fit.")]
GpuBackend = Annotated[
    str, arguments.Option(help="auto, cuda, triton or torch; torch runs where there is no GPU, slowly.")
]


def check_engine(name: str) -> None:
    """Refuse an engine there is not, as wrong usage, before anything is opened.

    Raises
    ------
    arguments.BadParameter
    """
    from sparseir.search.engines import ENGINE_NAMES

    if name not in ENGINE_NAMES:
        raise arguments.BadParameter(f"--engine is {name!r}; there are: {', '.join(ENGINE_NAMES)}")


def chosen_engine(name: str, gpu: tuple[str, str], recall_target: float | None) -> str | EngineConfig:
    """What the searcher is opened with.

    Parameters
    ----------
    gpu : memory and backend of the gpu engine. recall_target : of approximate search, or None.

    Raises
    ------
    arguments.BadParameter : no such engine, backend or amount of memory; a target out of range, or with an exact engine.
    """
    check_engine(name)
    if recall_target is not None:
        from sparseir.search.approximate import ApproximateConfig

        if name not in ("auto", "approximate"):
            raise arguments.BadParameter(f"--recall-target searches approximately; it excludes --engine {name}")
        with arguments.usage():
            return ApproximateConfig(recall_target=recall_target)
    return _gpu_config(*gpu) if name == "gpu" else name


def _gpu_config(memory: str, backend: str) -> GpuConfig:
    from sparseir.cli.output.places import parse_bytes
    from sparseir.search.gpu import GpuConfig

    if backend not in ("auto", "cuda", "triton", "torch"):
        raise arguments.BadParameter(f"--gpu-backend is '{backend}'; give auto, cuda, triton or torch")
    return GpuConfig(gpu_memory=parse_bytes(memory) or 0, backend=backend)  # type: ignore[arg-type]

"""How a collection is encoded: checked like a recipe's sections, and saved with the vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sparseir.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeConfig:
    """How a collection is encoded."""

    batch_size: int = 32
    """Texts a forward pass sees."""

    dtype: Literal["float32", "bfloat16", "native"] = "native"
    """Number format of the network: native is bfloat16 where the device multiplies it in hardware, else float32."""

    max_active_dims: int | None = None
    """Most weights of a vector, the largest; null keeps all."""

    bucket_size: int = 4096
    """Documents read ahead and sorted by length, so that a batch holds texts of nearly one length."""

    part_size: int = 16384
    """Documents a finished part of the output holds; a run that was stopped goes on after the last finished part."""

    def __post_init__(self) -> None:
        faults = [
            f"{name}: expected at least 1, found {value}"
            for name in ("batch_size", "bucket_size", "part_size")
            if (value := getattr(self, name)) < 1
        ]
        if self.max_active_dims is not None and self.max_active_dims < 1:
            faults.append(f"max_active_dims: expected at least 1 or null, found {self.max_active_dims}")
        if faults:
            raise ConfigError("\n".join(faults))

"""What the names of v1's virtual machines stand for: cores, memory and GPUs."""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Tuple


class VmSize(NamedTuple):
    """Cores, GiB of memory, GPUs."""

    cpu: float
    memory: float
    gpu: int = 0


def vm_size(name: Optional[str]) -> Optional[VmSize]:
    """The machine of that name, in any case, with or without ``Standard_``; None if unknown."""
    key = (name or "").upper()
    return _SIZES.get(key[9:] if key.startswith("STANDARD_") else key)


def vm_sizes() -> Dict[str, VmSize]:
    """All machines that are known, under v1's names."""
    return {f"STANDARD_{name}": size for name, size in _SIZES.items()}


def _family(pattern: str, *sizes: Tuple[str, float, float, int]) -> Dict[str, VmSize]:
    return {
        pattern.format(number).upper(): VmSize(cpu, memory, gpu)
        for number, cpu, memory, gpu in sizes
    }


def _scaled(pattern: str, per_core: float, *cores: int) -> Dict[str, VmSize]:
    return {pattern.format(each).upper(): VmSize(each, each * per_core) for each in cores}


_OLD_D = (("1", 1, 3.5, 0), ("2", 2, 7, 0), ("3", 4, 14, 0), ("4", 8, 28, 0), ("5", 16, 56, 0))
_OLD_D_MEMORY = (
    ("11", 2, 14, 0),
    ("12", 4, 28, 0),
    ("13", 8, 56, 0),
    ("14", 16, 112, 0),
    ("15", 20, 140, 0),
)

_SIZES: Dict[str, VmSize] = {
    **_family("D{}", *_OLD_D[:4], *_OLD_D_MEMORY[:4]),
    **_family("D{}_V2", *_OLD_D, *_OLD_D_MEMORY),
    **_family("DS{}_V2", *_OLD_D, *_OLD_D_MEMORY),
    **_scaled("D{}_V3", 4, 2, 4, 8, 16, 32, 64),
    **_scaled("D{}S_V3", 4, 2, 4, 8, 16, 32, 48, 64),
    **_scaled("D{}_V4", 4, 2, 4, 8, 16, 32, 48, 64),
    **_scaled("D{}S_V4", 4, 2, 4, 8, 16, 32, 48, 64),
    **_scaled("D{}S_V5", 4, 2, 4, 8, 16, 32, 48, 64, 96),
    **_scaled("E{}_V3", 8, 2, 4, 8, 16, 20, 32),
    **_scaled("E{}S_V3", 8, 2, 4, 8, 16, 20, 32, 48),
    **_scaled("E{}S_V4", 8, 2, 4, 8, 16, 20, 32, 48),
    **_scaled("F{}S_V2", 2, 2, 4, 8, 16, 32, 48, 64, 72),
    **_family("A{}_V2", ("1", 1, 2, 0), ("2", 2, 4, 0), ("4", 4, 8, 0), ("8", 8, 16, 0)),
    **_family("NC{}", ("6", 6, 56, 1), ("12", 12, 112, 2), ("24", 24, 224, 4), ("24R", 24, 224, 4)),
    **_family("NC{}S_V2", ("6", 6, 112, 1), ("12", 12, 224, 2), ("24", 24, 448, 4)),
    **_family("NC{}S_V3", ("6", 6, 112, 1), ("12", 12, 224, 2), ("24", 24, 448, 4)),
    **_family("NC{}RS_V3", ("24", 24, 448, 4)),
    **_family("NC{}AS_T4_V3", ("4", 4, 28, 1), ("8", 8, 56, 1), ("16", 16, 110, 1)),
    **_family("NC{}ADS_A100_V4", ("24", 24, 220, 1), ("48", 48, 440, 2), ("96", 96, 880, 4)),
    **_family("ND{}S", ("6", 6, 112, 1), ("12", 12, 224, 2), ("24", 24, 448, 4)),
    **_family("ND{}RS_V2", ("40", 40, 672, 8)),
    **_family("ND{}ASR_V4", ("96", 96, 900, 8)),
    **_family("NV{}", ("6", 6, 56, 1), ("12", 12, 112, 2), ("24", 24, 224, 4)),
    **_family("NV{}S_V3", ("12", 12, 112, 1), ("24", 24, 224, 2), ("48", 48, 448, 4)),
}

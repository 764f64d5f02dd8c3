"""Peak speeds and memory of known GPUs: dense, without structured sparsity, from NVIDIA's data sheets."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import BadInput

TERA, GIGA, GIB = 1e12, 1e9, 2**30


@dataclass(frozen=True)
class GPU:
    """`memory`: whole GiB that a process finds (torch's total_memory, rounded down), a little below the name."""

    name: str
    bf16: float  # FLOP/s with fp32 accumulation
    fp32: float  # FLOP/s without tensor cores
    bandwidth: float  # bytes/s of its memory
    memory: int  # GiB
    source: str

    def peak(self, dtype: str) -> float:
        return self.fp32 if dtype == "float32" else self.bf16


GPUS = {
    "h100": GPU("H100 SXM 80 GB", 989 * TERA, 67 * TERA, 3350 * GIGA, 79, "H100 Tensor Core GPU data sheet"),
    "h200": GPU("H200 SXM 141 GB", 989 * TERA, 67 * TERA, 4800 * GIGA, 139, "H200 Tensor Core GPU data sheet"),
    "a100": GPU("A100 SXM 80 GB", 312 * TERA, 19.5 * TERA, 2039 * GIGA, 79, "A100 Tensor Core GPU data sheet"),
    "b200": GPU("B200 SXM 180 GB", 2250 * TERA, 75 * TERA, 8000 * GIGA, 178, "HGX B200 data sheet, per GPU"),
    "l40s": GPU("L40S 48 GB", 362 * TERA, 91.6 * TERA, 864 * GIGA, 44, "L40S data sheet"),
    "rtx4090": GPU("GeForce RTX 4090", 165.2 * TERA, 82.6 * TERA, 1008 * GIGA, 23, "Ada GPU architecture white paper"),
}


def gpu_named(name: str) -> GPU:
    """Raises BadInput for a name that is not in the table."""
    if name not in GPUS:
        raise BadInput(f"gpu={name} is not in the table; choose {', '.join(GPUS)}")
    return GPUS[name]


def gpu_of_device(device: str) -> GPU | None:
    """The entry for a device as its driver calls it ("NVIDIA H100 80GB HBM3"); None where the table has none. PCIe and NVL boards
    are slower than the SXM modules of the same name, so they have none, except the A100, whose peaks are the same."""
    words = device.upper().replace("GEFORCE ", "").replace("RTX ", "RTX").replace("-", " ").split()
    slower = {"PCIE", "NVL"} & set(words) and "A100" not in words
    found = [gpu for key, gpu in GPUS.items() if key.upper() in words]
    return found[0] if found and not slower else None


__all__ = ["GIB", "GPU", "GPUS", "gpu_named", "gpu_of_device"]

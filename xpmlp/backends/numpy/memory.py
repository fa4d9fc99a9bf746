"""Memory that a training step frees is kept for the next step."""

import functools

import numpy as np

MAX_BLOCK = 2**25 - 2**16  # bytes; glibc adapts to blocks of up to 32 MiB


@functools.cache
def keep_freed_memory() -> None:
    """Have the C library keep up to 64 MiB of freed memory instead of giving it back to the system.

    glibc raises the threshold for that, 128 KiB by default, when a block that it had mapped is freed (mallopt(3),
    M_MMAP_THRESHOLD): so one is. Nothing is written to it, and with other C libraries nothing happens.
    """
    np.empty(MAX_BLOCK, dtype=np.uint8)

"""Keeps the memory of a daemon of years flat: what is freed goes back to the system."""

import ctypes

_MMAP_THRESHOLD = -3
"""Of `mallopt`, as in glibc's malloc.h."""
_LARGE = 128 * 1024
"""Bytes: glibc's own threshold, to begin with."""


def keep_flat() -> None:
    """Give large blocks pages of their own, as long as the process lives.

    By itself glibc's malloc puts blocks as large as any that was freed before, up to 32 MB, among
    the small ones: utterances of all lengths leave holes there, and the heap grows ever more slowly
    but for days. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)

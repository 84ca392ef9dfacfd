"""Memory that a mapped file takes of a process, given back to the kernel.

LMDB maps its file, and each page that was looked at counts as this process's memory until the file is closed, although
it is the page cache's. Rules of this file: it only advises; the bytes stay where they are, and who reads them has them
again at once, in this thread or another; where the advice cannot be given nothing happens.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

_DONTNEED: Final = 4  # MADV_DONTNEED of madvise(2), which leaves a shared mapping of a file as it is


def give_back(fd: int) -> None:
    """Let go of the pages of the open file ``fd`` that are mapped into this process."""
    import ctypes

    with contextlib.suppress(OSError, ValueError, AttributeError):
        inode, libc = os.fstat(fd).st_ino, ctypes.CDLL(None, use_errno=True)
        libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        name = str(Path(f"/proc/self/fd/{fd}").readlink())
        with Path("/proc/self/maps").open(encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                span, mode, _, _, number, *path = line.rstrip("\n").split(maxsplit=5)
                if mode[3] == "s" and int(number) == inode and path == [name]:
                    start, end = (int(edge, 16) for edge in span.split("-"))
                    libc.madvise(start, end - start, _DONTNEED)

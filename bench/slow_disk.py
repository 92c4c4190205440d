"""A slower disk for one process: every fsync and fdatasync takes a stated time longer.

A few lines of C put in front of the system's own functions with LD_PRELOAD, compiled into a folder
that is thrown away. What it does to a process is measured in that process, beside the figure.
"""

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static int slow(const char *name, int fd) {
    struct timespec left = {0, DELAY_US * 1000L};
    while (nanosleep(&left, &left) != 0) {}
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(fd);
}
int fsync(int fd) { return slow("fsync", fd); }
int fdatasync(int fd) { return slow("fdatasync", fd); }
"""


def environment(folder: Path, delay_us: int) -> dict[str, str] | None:
    """Variables for a process whose fsyncs are slower by this; None where no C compiler is."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source, library = folder / "slow.c", folder / f"slow{delay_us}.so"
    source.write_text(SOURCE)
    options = [f"-DDELAY_US={delay_us}", "-O1", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([compiler, *options, str(source), "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}

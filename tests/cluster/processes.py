"""What the operating system says about a server process."""

import re
import time
from pathlib import Path


def has_one_thread(pid: int) -> bool:
    """Whether the server process has no thread but its own. One that has ended may need a moment to go."""
    deadline = time.monotonic() + 10
    while len(list(Path(f"/proc/{pid}/task").iterdir())) > 1:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def threads(pid: int) -> list[str]:
    """The names of a process's threads, the first of which is its own."""
    return [(task / "comm").read_text().strip() for task in sorted(Path(f"/proc/{pid}/task").iterdir())]


def processor_time(pid: int, name: str) -> int:
    """Nanoseconds for which threads of this name had a processor."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    named = [task for task in tasks if (task / "comm").read_text().strip() == name]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in named)


def own_memory(pid: int) -> int:
    """Bytes that are the process's alone: without shared buffers and libraries."""
    return _status(pid, "RssAnon")


def peak_memory(pid: int) -> int:
    """The most bytes it had at once since `forget_peak`, with the shared buffers that it touched."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB$", status, re.M).group(1))

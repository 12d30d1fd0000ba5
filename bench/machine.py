"""What the measurements were made on."""

import os
import platform
from pathlib import Path


def describe() -> str:
    processor = platform.machine()
    for text in Path("/proc/cpuinfo").read_text().splitlines():
        if text.startswith("model name"):
            processor = text.split(":", 1)[1].strip()
            break
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}"

"""Parts of documents that commands write, between marks that are there for them."""

import re
from pathlib import Path


def replace(document: Path, name: str, text: str) -> None:
    """Writes the part between `<!-- name: begin ... -->` and `<!-- name: end -->`, which is there once."""
    new, found = re.subn(
        rf"(<!-- {name}: begin[^\n]*\n).*?(<!-- {name}: end -->)",
        lambda marks: f"{marks[1]}{text}{marks[2]}",
        document.read_text(),
        flags=re.DOTALL,
    )
    if found != 1:
        raise RuntimeError(f"{document} does not have the marks of {name} once")
    document.write_text(new)

"""The table of suites and counts in docs/clients.md."""

import re
from collections.abc import Iterable, Sequence

from paths import REPO
from suite import Counts, Suite

DOCUMENT = REPO / "docs" / "clients.md"
BEGIN = "<!-- What follows is written by make test-clients CLIENTS=--publish. -->\n"
END = "<!-- End of what is written. -->\n"


def publish(suites: Sequence[Suite], results: dict[str, dict[str, Counts]]) -> None:
    """Replaces the table. `results` are by server and suite; every suite ran on every server."""
    columns = list(results.values())
    rows = [("client", "tests", *results), ("---", "---", *("--:" for _ in results))]
    rows += (
        (suite.title, suite.source, *(str(column[suite.name]) for column in columns)) for suite in suites
    )
    rows.append(("**all**", "", *(f"**{total(column.values())}**" for column in columns)))
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    before, after = _split(DOCUMENT.read_text())
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def total(counts: Iterable[Counts]) -> Counts:
    whole = Counts()
    for each in counts:
        whole.passed += each.passed
        whole.skipped += each.skipped
        whole.failures += each.failures
    return whole


def _split(text: str) -> tuple[str, str]:
    match = re.fullmatch(f"(.*){re.escape(BEGIN)}.*{re.escape(END)}(.*)", text, re.S)
    if match is None:
        raise RuntimeError(f"{DOCUMENT} lacks the lines that the table stands between")
    return match.groups()

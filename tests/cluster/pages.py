"""The pages of an index file, to be changed while no server has it open."""

import struct
import zlib
from pathlib import Path

PAGE = 8192
# Postgres' page header, then ours; see bkd/src/layout.
MAGIC = b"kdtr"
HEADER = 24
VERSION = HEADER + 4
KIND = HEADER + 6
OWNER = HEADER + 8
SEQUENCE = HEADER + 16
USED = HEADER + 24
PAYLOAD_CHECKSUM = HEADER + 28
PAYLOAD = 64
HEADER_CHECKSUM = PAYLOAD - 4
# In front of it is what Postgres itself changes.
CHECKED_FROM = 10

KINDS = {1: "meta", 2: "leaf", 3: "fine", 4: "tids", 5: "directory", 6: "delta", 7: "list", 8: "attributes"}
# Segments with sketches, of thousands of vectors, have whole codes, too.
ALL_KINDS = KINDS | {9: "whole"}


class Pages:
    """A file's pages, read at once and written back by `write`."""

    def __init__(self, path: Path):
        self.path = path
        content = path.read_bytes()
        self.pages = [bytearray(content[at : at + PAGE]) for at in range(0, len(content), PAGE)]

    def write(self) -> None:
        # In place, so that the file keeps its owner.
        with open(self.path, "r+b") as file:
            file.write(b"".join(self.pages))

    def __getitem__(self, block: int) -> bytearray:
        return self.pages[block]

    def kind(self, block: int) -> str | None:
        page = self.pages[block]
        return ALL_KINDS[page[KIND]] if page[HEADER : HEADER + 4] == MAGIC else None

    def used(self, block: int) -> int:
        return struct.unpack_from("<I", self.pages[block], USED)[0]

    def sequence(self, block: int) -> int:
        return struct.unpack_from("<I", self.pages[block], SEQUENCE)[0]

    def of_kind(self, kind: str) -> list[int]:
        return [block for block in range(len(self.pages)) if self.kind(block) == kind]

    def stamp(self, block: int) -> None:
        """Gives the page the checksums of what it says now: only its meaning can give it away."""
        page = self.pages[block]
        struct.pack_into("<I", page, PAYLOAD_CHECKSUM, zlib.crc32(page[PAYLOAD : PAYLOAD + self.used(block)]))
        struct.pack_into("<I", page, HEADER_CHECKSUM, zlib.crc32(page[CHECKED_FROM:HEADER_CHECKSUM]))

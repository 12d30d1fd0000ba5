"""Finds images that look alike, with the features of a neural network in a kdtree index.

    target/venv/bin/python examples/image-search/search.py

Connects as any libpq program does (PGHOST, PGPORT, PGUSER, PGDATABASE); `make demo` starts a server for it.
Exits with code 75 (temporary failure) where the images cannot be had.
"""

import sys
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import features  # noqa: E402
import images  # noqa: E402
import paths  # noqa: E402
import pgvectors  # noqa: E402
import progress  # noqa: E402
import sheet  # noqa: E402
from images import Image  # noqa: E402

UNAVAILABLE = 75
QUERIES = 12

# The kdtree gives the nearest first; the filter leaves out the image itself.
NEIGHBOURS = """
    SELECT id, features <=> (SELECT features FROM images WHERE id = %(query)s) AS distance
    FROM images
    WHERE id <> %(query)s
    ORDER BY features <=> (SELECT features FROM images WHERE id = %(query)s)
    LIMIT 5
"""

# The middle image, by name, of each of the largest folders.
CHOOSE_QUERIES = """
    SELECT id FROM (
        SELECT id, count(*) OVER folders AS size, row_number() OVER (folders ORDER BY path) AS position
        FROM images WINDOW folders AS (PARTITION BY folder)
    ) AS ranked
    WHERE position = (size + 1) / 2
    ORDER BY size DESC, id
    LIMIT %s
"""

SAME_FOLDER = """
    SELECT avg((nearest.folder = image.folder)::int)
    FROM images AS image, LATERAL (
        SELECT folder FROM images AS other
        WHERE other.id <> image.id
        ORDER BY other.features <=> image.features
        LIMIT 1
    ) AS nearest
"""

SAME_FOLDER_BY_CHANCE = """
    SELECT sum(size * (size - 1)) / (sum(size) * (sum(size) - 1))
    FROM (SELECT count(*) AS size FROM images GROUP BY folder) AS folders
"""


def store(connection: psycopg.Connection, found: list[Image], vectors) -> None:
    """The table: ids count from 1 in the order of the list."""
    connection.execute("CREATE EXTENSION IF NOT EXISTS kdtree CASCADE")
    connection.execute("DROP TABLE IF EXISTS images")
    connection.execute(
        f"""CREATE TABLE images (
            id int PRIMARY KEY, name text, folder text, path text, features vector({vectors.shape[1]}))"""
    )
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO images VALUES (%s, %s, %s, %s, %s)",
            [
                (id, image.name, image.folder, str(image.path), pgvectors.literal(vector))
                for id, (image, vector) in enumerate(zip(found, vectors, strict=True), 1)
            ],
        )
    statement = "CREATE INDEX images_features ON images USING kdtree (features vector_cosine_ops)"
    with progress.building_index(connection.info.dsn, statement):
        connection.execute(statement)
    connection.execute("VACUUM ANALYZE images")


def search(connection: psycopg.Connection, found: list[Image]) -> list[sheet.Result]:
    def neighbours(query: int) -> list[sheet.Match]:
        rows = connection.execute(NEIGHBOURS, {"query": query})
        return [sheet.Match(found[id - 1], distance) for id, distance in rows]

    queries = [id for (id,) in connection.execute(CHOOSE_QUERIES, (QUERIES,))]
    return [sheet.Result(found[query - 1], neighbours(query)) for query in queries]


def with_index(connection: psycopg.Connection, wanted: bool) -> None:
    """So few rows are read whole as fast as through an index: the planner is told which to do."""
    connection.execute(f"SET enable_seqscan = {'off' if wanted else 'on'}")
    connection.execute(f"SET enable_indexscan = {'on' if wanted else 'off'}")


def show(results: list[sheet.Result]) -> None:
    for result in results:
        names = ", ".join(f"{match.image.name} ({match.distance:.2f})" for match in result.neighbours)
        print(f"  {result.query.folder}/{result.query.name}: {names}")


def main() -> int:
    cache = paths.cache_dir("image-search")
    folder = cache / "stamps"
    line = progress.Line(f"images of Debian's package {images.PACKAGE}")
    try:
        found = images.fetch(folder)
    except images.Unavailable as reason:
        line.done("failed")
        print(reason, file=sys.stderr)
        return UNAVAILABLE
    line.done(f"{len(found)} images")

    line = progress.Line("features of EfficientNet-Lite0")
    vectors = features.extract(found, folder, cache, lambda done: line.update(f"{done} images"))
    line.done(f"{vectors.shape[1]:,} dimensions")

    # Without prepared statements: a plan once made would outlive the change of enable_indexscan.
    with psycopg.connect(autocommit=True, prepare_threshold=None) as connection:
        connection.execute("SET client_min_messages = warning")
        store(connection, found, vectors)
        with_index(connection, False)
        expected = search(connection, found)
        with_index(connection, True)
        plan = "\n".join(row for (row,) in connection.execute("EXPLAIN " + NEIGHBOURS, {"query": 1}))
        if "Index Scan using images_features" not in plan:
            print(f"error: the index was not used:\n{plan}", file=sys.stderr)
            return 1
        results = search(connection, found)
        (share,) = connection.execute(SAME_FOLDER).fetchone()
        (chance,) = connection.execute(SAME_FOLDER_BY_CHANCE).fetchone()

    print("\nThe most similar images, nearest first (cosine distance):")
    show(results)
    if results != expected:
        print("error: the index gives other answers than the table", file=sys.stderr)
        return 1
    print("\n  Without the index: identical answers.")
    print(f"  Nearest neighbour from the same folder: {share:.2f} of the images (by chance {chance:.2f})")

    title = f"{len(found)} images, compared by EfficientNet-Lite0 features"
    sheet.write_png(title, results, folder, cache / "contact-sheet.png")
    sheet.write_html(title, results, folder, cache / "index.html")
    print(f"  Contact sheet: {cache / 'contact-sheet.png'}\n  The same as a page: {cache / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

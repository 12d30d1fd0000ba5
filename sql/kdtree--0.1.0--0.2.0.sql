-- kdtree 0.2.0: looking after an index; searching within a distance; filters; halfvec and L1.
\echo Use "ALTER EXTENSION kdtree UPDATE TO '0.2.0'" to load this file. \quit

CREATE FUNCTION kdtree_merge(index regclass) RETURNS int4
    AS 'MODULE_PATHNAME', 'kdtree_merge_wrapper' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kdtree_merge(regclass) IS 'makes a kdtree index of as few segments as memory allows; returns their number';

CREATE FUNCTION kdtree_check(
    index regclass,
    heapallindexed boolean DEFAULT false,
    OUT block int8,
    OUT problem text
) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'kdtree_check_wrapper' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 10000 ROWS 10;
COMMENT ON FUNCTION kdtree_check(regclass, boolean) IS 'verifies a kdtree index: a row for every problem';

-- Everything within a distance. The functions are what users call; for them the planner puts the operators, which an
-- index can search for. (areasel is what core assumes of areas: half a percent.)

CREATE TYPE vector_range AS (center vector, radius float8);
COMMENT ON TYPE vector_range IS 'all vectors within a distance of one';

CREATE FUNCTION l2_within_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'l2_within_support_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION cosine_within_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'cosine_within_support_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION negative_inner_product_within_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'negative_inner_product_within_support_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION l2_within_support(internal) IS 'planner support for l2_within';
COMMENT ON FUNCTION cosine_within_support(internal) IS 'planner support for cosine_within';
COMMENT ON FUNCTION negative_inner_product_within_support(internal)
    IS 'planner support for negative_inner_product_within';

CREATE FUNCTION l2_within(vector, vector, radius float8) RETURNS boolean
    AS 'MODULE_PATHNAME', 'l2_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    SUPPORT l2_within_support;
COMMENT ON FUNCTION l2_within(vector, vector, float8) IS 'whether the Euclidean distance <-> is at most the radius';

CREATE FUNCTION cosine_within(vector, vector, radius float8) RETURNS boolean
    AS 'MODULE_PATHNAME', 'cosine_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    SUPPORT cosine_within_support;
COMMENT ON FUNCTION cosine_within(vector, vector, float8) IS 'whether the cosine distance <=> is at most the radius';

CREATE FUNCTION negative_inner_product_within(vector, vector, radius float8) RETURNS boolean
    AS 'MODULE_PATHNAME', 'negative_inner_product_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    SUPPORT negative_inner_product_within_support;
COMMENT ON FUNCTION negative_inner_product_within(vector, vector, float8)
    IS 'whether the negative inner product <#> is at most the radius';

CREATE FUNCTION l2_within_range(vector, vector_range) RETURNS boolean
    AS 'MODULE_PATHNAME', 'l2_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION cosine_within_range(vector, vector_range) RETURNS boolean
    AS 'MODULE_PATHNAME', 'cosine_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION negative_inner_product_within_range(vector, vector_range) RETURNS boolean
    AS 'MODULE_PATHNAME', 'negative_inner_product_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION l2_within_range(vector, vector_range) IS 'implementation of <<-> operator';
COMMENT ON FUNCTION cosine_within_range(vector, vector_range) IS 'implementation of <<=> operator';
COMMENT ON FUNCTION negative_inner_product_within_range(vector, vector_range) IS 'implementation of <<#> operator';

CREATE OPERATOR <<-> (LEFTARG = vector, RIGHTARG = vector_range,
    FUNCTION = l2_within_range, RESTRICT = areasel, JOIN = areajoinsel);
COMMENT ON OPERATOR <<-> (vector, vector_range) IS 'l2_within, as a condition of an index';
CREATE OPERATOR <<=> (LEFTARG = vector, RIGHTARG = vector_range,
    FUNCTION = cosine_within_range, RESTRICT = areasel, JOIN = areajoinsel);
COMMENT ON OPERATOR <<=> (vector, vector_range) IS 'cosine_within, as a condition of an index';
CREATE OPERATOR <<#> (LEFTARG = vector, RIGHTARG = vector_range,
    FUNCTION = negative_inner_product_within_range, RESTRICT = areasel, JOIN = areajoinsel);
COMMENT ON OPERATOR <<#> (vector, vector_range) IS 'negative_inner_product_within, as a condition of an index';

ALTER OPERATOR FAMILY vector_l2_ops USING kdtree ADD OPERATOR 2 <<-> (vector, vector_range);
ALTER OPERATOR FAMILY vector_cosine_ops USING kdtree ADD OPERATOR 3 <<=> (vector, vector_range);
ALTER OPERATOR FAMILY vector_ip_ops USING kdtree ADD OPERATOR 4 <<#> (vector, vector_range);

CREATE FUNCTION kdtree_recall(
    index regclass,
    k int4 DEFAULT 10,
    queries int4 DEFAULT 100,
    recall float8 DEFAULT NULL,
    OUT target float8,
    OUT measured int4,
    OUT mean float8,
    OUT minimum float8,
    OUT approximate_ms float8,
    OUT exact_ms float8,
    OUT leaves float8,
    OUT vectors float8
) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'kdtree_recall_wrapper' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000 ROWS 1;
COMMENT ON FUNCTION kdtree_recall(regclass, int4, int4, float8) IS
    'measures what approximate scans of a kdtree index find and what they cost; recall is the setting kdtree.recall unless given';

CREATE FUNCTION kdtree_recall(
    index regclass,
    queries vector[],
    k int4 DEFAULT 10,
    recall float8 DEFAULT NULL,
    OUT target float8,
    OUT measured int4,
    OUT mean float8,
    OUT minimum float8,
    OUT approximate_ms float8,
    OUT exact_ms float8,
    OUT leaves float8,
    OUT vectors float8
) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'kdtree_recall_queries_wrapper' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000 ROWS 1;
COMMENT ON FUNCTION kdtree_recall(regclass, vector[], int4, float8) IS
    'measures what approximate scans of a kdtree index find for these queries and what they cost';

-- What the extension vector may not have: halfvec and the operator <+> came with version 0.7.0 of pgvector.

DO $$
BEGIN
    IF to_regtype('halfvec') IS NULL THEN
        RAISE NOTICE 'kdtree is installed without operator classes for halfvec, sparsevec, bit and L1'
            USING HINT = 'The extension "vector" has them from version 0.7.0 on.';
        RETURN;
    END IF;

    -- L1

    CREATE FUNCTION kdtree_metric_l1() RETURNS int4
        AS 'MODULE_PATHNAME', 'kdtree_metric_l1_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION kdtree_metric_l1() IS 'kdtree support function: taxicab distance';

    CREATE OPERATOR CLASS vector_l1_ops FOR TYPE vector USING kdtree AS
        OPERATOR 1 <+> (vector, vector) FOR ORDER BY float_ops,
        FUNCTION 1 (vector, vector) kdtree_metric_l1();
    COMMENT ON OPERATOR CLASS vector_l1_ops USING kdtree IS 'ORDER BY taxicab distance';
    COMMENT ON OPERATOR FAMILY vector_l1_ops USING kdtree IS 'ORDER BY taxicab distance';

    CREATE FUNCTION l1_within_support(internal) RETURNS internal
        AS 'MODULE_PATHNAME', 'l1_within_support_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION l1_within_support(internal) IS 'planner support for l1_within';

    CREATE FUNCTION l1_within(vector, vector, radius float8) RETURNS boolean
        AS 'MODULE_PATHNAME', 'l1_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
        SUPPORT l1_within_support;
    COMMENT ON FUNCTION l1_within(vector, vector, float8) IS 'whether the taxicab distance <+> is at most the radius';

    CREATE FUNCTION l1_within_range(vector, vector_range) RETURNS boolean
        AS 'MODULE_PATHNAME', 'l1_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION l1_within_range(vector, vector_range) IS 'implementation of <<+> operator';

    CREATE OPERATOR <<+> (LEFTARG = vector, RIGHTARG = vector_range,
        FUNCTION = l1_within_range, RESTRICT = areasel, JOIN = areajoinsel);
    COMMENT ON OPERATOR <<+> (vector, vector_range) IS 'l1_within, as a condition of an index';

    ALTER OPERATOR FAMILY vector_l1_ops USING kdtree ADD OPERATOR 10 <<+> (vector, vector_range);

    -- halfvec: support function 2 says that values are of this type

    CREATE FUNCTION kdtree_type_halfvec() RETURNS int4
        AS 'MODULE_PATHNAME', 'kdtree_type_halfvec_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION kdtree_type_halfvec() IS 'kdtree support function: values are of type halfvec';

    CREATE TYPE halfvec_range AS (center halfvec, radius float8);
    COMMENT ON TYPE halfvec_range IS 'all vectors within a distance of one';

    CREATE OPERATOR CLASS halfvec_l2_ops DEFAULT FOR TYPE halfvec USING kdtree AS
        OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY float_ops,
        FUNCTION 1 (halfvec, halfvec) kdtree_metric_l2(),
        FUNCTION 2 (halfvec, halfvec) kdtree_type_halfvec();
    COMMENT ON OPERATOR CLASS halfvec_l2_ops USING kdtree IS 'ORDER BY Euclidean distance';
    COMMENT ON OPERATOR FAMILY halfvec_l2_ops USING kdtree IS 'ORDER BY Euclidean distance';

    CREATE OPERATOR CLASS halfvec_cosine_ops FOR TYPE halfvec USING kdtree AS
        OPERATOR 1 <=> (halfvec, halfvec) FOR ORDER BY float_ops,
        FUNCTION 1 (halfvec, halfvec) kdtree_metric_cosine(),
        FUNCTION 2 (halfvec, halfvec) kdtree_type_halfvec();
    COMMENT ON OPERATOR CLASS halfvec_cosine_ops USING kdtree IS 'ORDER BY cosine distance';
    COMMENT ON OPERATOR FAMILY halfvec_cosine_ops USING kdtree IS 'ORDER BY cosine distance';

    CREATE OPERATOR CLASS halfvec_ip_ops FOR TYPE halfvec USING kdtree AS
        OPERATOR 1 <#> (halfvec, halfvec) FOR ORDER BY float_ops,
        FUNCTION 1 (halfvec, halfvec) kdtree_metric_ip(),
        FUNCTION 2 (halfvec, halfvec) kdtree_type_halfvec();
    COMMENT ON OPERATOR CLASS halfvec_ip_ops USING kdtree IS 'ORDER BY negative inner product';
    COMMENT ON OPERATOR FAMILY halfvec_ip_ops USING kdtree IS 'ORDER BY negative inner product';

    CREATE OPERATOR CLASS halfvec_l1_ops FOR TYPE halfvec USING kdtree AS
        OPERATOR 1 <+> (halfvec, halfvec) FOR ORDER BY float_ops,
        FUNCTION 1 (halfvec, halfvec) kdtree_metric_l1(),
        FUNCTION 2 (halfvec, halfvec) kdtree_type_halfvec();
    COMMENT ON OPERATOR CLASS halfvec_l1_ops USING kdtree IS 'ORDER BY taxicab distance';
    COMMENT ON OPERATOR FAMILY halfvec_l1_ops USING kdtree IS 'ORDER BY taxicab distance';

    CREATE FUNCTION l2_within(halfvec, halfvec, radius float8) RETURNS boolean
        AS 'MODULE_PATHNAME', 'halfvec_l2_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
        SUPPORT l2_within_support;
    COMMENT ON FUNCTION l2_within(halfvec, halfvec, float8)
        IS 'whether the Euclidean distance <-> is at most the radius';

    CREATE FUNCTION cosine_within(halfvec, halfvec, radius float8) RETURNS boolean
        AS 'MODULE_PATHNAME', 'halfvec_cosine_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
        SUPPORT cosine_within_support;
    COMMENT ON FUNCTION cosine_within(halfvec, halfvec, float8)
        IS 'whether the cosine distance <=> is at most the radius';

    CREATE FUNCTION negative_inner_product_within(halfvec, halfvec, radius float8) RETURNS boolean
        AS 'MODULE_PATHNAME', 'halfvec_negative_inner_product_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
        SUPPORT negative_inner_product_within_support;
    COMMENT ON FUNCTION negative_inner_product_within(halfvec, halfvec, float8)
        IS 'whether the negative inner product <#> is at most the radius';

    CREATE FUNCTION l1_within(halfvec, halfvec, radius float8) RETURNS boolean
        AS 'MODULE_PATHNAME', 'halfvec_l1_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
        SUPPORT l1_within_support;
    COMMENT ON FUNCTION l1_within(halfvec, halfvec, float8)
        IS 'whether the taxicab distance <+> is at most the radius';

    CREATE FUNCTION l2_within_range(halfvec, halfvec_range) RETURNS boolean
        AS 'MODULE_PATHNAME', 'halfvec_l2_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION l2_within_range(halfvec, halfvec_range) IS 'implementation of <<-> operator';

    CREATE FUNCTION cosine_within_range(halfvec, halfvec_range) RETURNS boolean
        AS 'MODULE_PATHNAME', 'halfvec_cosine_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION cosine_within_range(halfvec, halfvec_range) IS 'implementation of <<=> operator';

    CREATE FUNCTION negative_inner_product_within_range(halfvec, halfvec_range) RETURNS boolean
        AS 'MODULE_PATHNAME', 'halfvec_negative_inner_product_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION negative_inner_product_within_range(halfvec, halfvec_range) IS 'implementation of <<#> operator';

    CREATE FUNCTION l1_within_range(halfvec, halfvec_range) RETURNS boolean
        AS 'MODULE_PATHNAME', 'halfvec_l1_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION l1_within_range(halfvec, halfvec_range) IS 'implementation of <<+> operator';

    CREATE OPERATOR <<-> (LEFTARG = halfvec, RIGHTARG = halfvec_range,
        FUNCTION = l2_within_range, RESTRICT = areasel, JOIN = areajoinsel);
    COMMENT ON OPERATOR <<-> (halfvec, halfvec_range) IS 'l2_within, as a condition of an index';
    CREATE OPERATOR <<=> (LEFTARG = halfvec, RIGHTARG = halfvec_range,
        FUNCTION = cosine_within_range, RESTRICT = areasel, JOIN = areajoinsel);
    COMMENT ON OPERATOR <<=> (halfvec, halfvec_range) IS 'cosine_within, as a condition of an index';
    CREATE OPERATOR <<#> (LEFTARG = halfvec, RIGHTARG = halfvec_range,
        FUNCTION = negative_inner_product_within_range, RESTRICT = areasel, JOIN = areajoinsel);
    COMMENT ON OPERATOR <<#> (halfvec, halfvec_range) IS 'negative_inner_product_within, as a condition of an index';
    CREATE OPERATOR <<+> (LEFTARG = halfvec, RIGHTARG = halfvec_range,
        FUNCTION = l1_within_range, RESTRICT = areasel, JOIN = areajoinsel);
    COMMENT ON OPERATOR <<+> (halfvec, halfvec_range) IS 'l1_within, as a condition of an index';

    ALTER OPERATOR FAMILY halfvec_l2_ops USING kdtree ADD OPERATOR 2 <<-> (halfvec, halfvec_range);
    ALTER OPERATOR FAMILY halfvec_cosine_ops USING kdtree ADD OPERATOR 3 <<=> (halfvec, halfvec_range);
    ALTER OPERATOR FAMILY halfvec_ip_ops USING kdtree ADD OPERATOR 4 <<#> (halfvec, halfvec_range);
    ALTER OPERATOR FAMILY halfvec_l1_ops USING kdtree ADD OPERATOR 10 <<+> (halfvec, halfvec_range);
END
$$;

-- Attributes: columns behind the vector that a scan filters by. The operators are core's; what an index keeps of a value
-- follows from its type.

CREATE OPERATOR FAMILY integer_ops USING kdtree;
COMMENT ON OPERATOR FAMILY integer_ops USING kdtree IS 'filter by integers';

CREATE OPERATOR CLASS int2_ops DEFAULT FOR TYPE int2 USING kdtree FAMILY integer_ops AS
    OPERATOR 5 <,
    OPERATOR 6 <=,
    OPERATOR 7 =,
    OPERATOR 8 >=,
    OPERATOR 9 >;
COMMENT ON OPERATOR CLASS int2_ops USING kdtree IS 'filter by int2';

CREATE OPERATOR CLASS int4_ops DEFAULT FOR TYPE int4 USING kdtree FAMILY integer_ops AS
    OPERATOR 5 <,
    OPERATOR 6 <=,
    OPERATOR 7 =,
    OPERATOR 8 >=,
    OPERATOR 9 >;
COMMENT ON OPERATOR CLASS int4_ops USING kdtree IS 'filter by int4';

CREATE OPERATOR CLASS int8_ops DEFAULT FOR TYPE int8 USING kdtree FAMILY integer_ops AS
    OPERATOR 5 <,
    OPERATOR 6 <=,
    OPERATOR 7 =,
    OPERATOR 8 >=,
    OPERATOR 9 >;
COMMENT ON OPERATOR CLASS int8_ops USING kdtree IS 'filter by int8';

ALTER OPERATOR FAMILY integer_ops USING kdtree ADD
    OPERATOR 5 < (int2, int4),
    OPERATOR 6 <= (int2, int4),
    OPERATOR 7 = (int2, int4),
    OPERATOR 8 >= (int2, int4),
    OPERATOR 9 > (int2, int4),
    OPERATOR 5 < (int2, int8),
    OPERATOR 6 <= (int2, int8),
    OPERATOR 7 = (int2, int8),
    OPERATOR 8 >= (int2, int8),
    OPERATOR 9 > (int2, int8),
    OPERATOR 5 < (int4, int2),
    OPERATOR 6 <= (int4, int2),
    OPERATOR 7 = (int4, int2),
    OPERATOR 8 >= (int4, int2),
    OPERATOR 9 > (int4, int2),
    OPERATOR 5 < (int4, int8),
    OPERATOR 6 <= (int4, int8),
    OPERATOR 7 = (int4, int8),
    OPERATOR 8 >= (int4, int8),
    OPERATOR 9 > (int4, int8),
    OPERATOR 5 < (int8, int2),
    OPERATOR 6 <= (int8, int2),
    OPERATOR 7 = (int8, int2),
    OPERATOR 8 >= (int8, int2),
    OPERATOR 9 > (int8, int2),
    OPERATOR 5 < (int8, int4),
    OPERATOR 6 <= (int8, int4),
    OPERATOR 7 = (int8, int4),
    OPERATOR 8 >= (int8, int4),
    OPERATOR 9 > (int8, int4);

CREATE OPERATOR FAMILY float_ops USING kdtree;
COMMENT ON OPERATOR FAMILY float_ops USING kdtree IS 'filter by floating-point numbers';

CREATE OPERATOR CLASS float4_ops DEFAULT FOR TYPE float4 USING kdtree FAMILY float_ops AS
    OPERATOR 5 <,
    OPERATOR 6 <=,
    OPERATOR 7 =,
    OPERATOR 8 >=,
    OPERATOR 9 >;
COMMENT ON OPERATOR CLASS float4_ops USING kdtree IS 'filter by float4';

CREATE OPERATOR CLASS float8_ops DEFAULT FOR TYPE float8 USING kdtree FAMILY float_ops AS
    OPERATOR 5 <,
    OPERATOR 6 <=,
    OPERATOR 7 =,
    OPERATOR 8 >=,
    OPERATOR 9 >;
COMMENT ON OPERATOR CLASS float8_ops USING kdtree IS 'filter by float8';

ALTER OPERATOR FAMILY float_ops USING kdtree ADD
    OPERATOR 5 < (float4, float8),
    OPERATOR 6 <= (float4, float8),
    OPERATOR 7 = (float4, float8),
    OPERATOR 8 >= (float4, float8),
    OPERATOR 9 > (float4, float8),
    OPERATOR 5 < (float8, float4),
    OPERATOR 6 <= (float8, float4),
    OPERATOR 7 = (float8, float4),
    OPERATOR 8 >= (float8, float4),
    OPERATOR 9 > (float8, float4);

CREATE OPERATOR FAMILY oid_ops USING kdtree;
COMMENT ON OPERATOR FAMILY oid_ops USING kdtree IS 'filter by oid';

CREATE OPERATOR CLASS oid_ops DEFAULT FOR TYPE oid USING kdtree FAMILY oid_ops AS
    OPERATOR 5 <,
    OPERATOR 6 <=,
    OPERATOR 7 =,
    OPERATOR 8 >=,
    OPERATOR 9 >;
COMMENT ON OPERATOR CLASS oid_ops USING kdtree IS 'filter by oid';

CREATE OPERATOR FAMILY char_ops USING kdtree;
COMMENT ON OPERATOR FAMILY char_ops USING kdtree IS 'filter by char';

CREATE OPERATOR CLASS char_ops DEFAULT FOR TYPE "char" USING kdtree FAMILY char_ops AS
    OPERATOR 5 <,
    OPERATOR 6 <=,
    OPERATOR 7 =,
    OPERATOR 8 >=,
    OPERATOR 9 >;
COMMENT ON OPERATOR CLASS char_ops USING kdtree IS 'filter by char';

CREATE OPERATOR FAMILY date_ops USING kdtree;
COMMENT ON OPERATOR FAMILY date_ops USING kdtree IS 'filter by date';

CREATE OPERATOR CLASS date_ops DEFAULT FOR TYPE date USING kdtree FAMILY date_ops AS
    OPERATOR 5 <,
    OPERATOR 6 <=,
    OPERATOR 7 =,
    OPERATOR 8 >=,
    OPERATOR 9 >;
COMMENT ON OPERATOR CLASS date_ops USING kdtree IS 'filter by date';

CREATE OPERATOR FAMILY time_ops USING kdtree;
COMMENT ON OPERATOR FAMILY time_ops USING kdtree IS 'filter by time';

CREATE OPERATOR CLASS time_ops DEFAULT FOR TYPE time USING kdtree FAMILY time_ops AS
    OPERATOR 5 <,
    OPERATOR 6 <=,
    OPERATOR 7 =,
    OPERATOR 8 >=,
    OPERATOR 9 >;
COMMENT ON OPERATOR CLASS time_ops USING kdtree IS 'filter by time';

CREATE OPERATOR FAMILY timestamp_ops USING kdtree;
COMMENT ON OPERATOR FAMILY timestamp_ops USING kdtree IS 'filter by timestamp';

CREATE OPERATOR CLASS timestamp_ops DEFAULT FOR TYPE timestamp USING kdtree FAMILY timestamp_ops AS
    OPERATOR 5 <,
    OPERATOR 6 <=,
    OPERATOR 7 =,
    OPERATOR 8 >=,
    OPERATOR 9 >;
COMMENT ON OPERATOR CLASS timestamp_ops USING kdtree IS 'filter by timestamp';

CREATE OPERATOR FAMILY timestamptz_ops USING kdtree;
COMMENT ON OPERATOR FAMILY timestamptz_ops USING kdtree IS 'filter by timestamptz';

CREATE OPERATOR CLASS timestamptz_ops DEFAULT FOR TYPE timestamptz USING kdtree FAMILY timestamptz_ops AS
    OPERATOR 5 <,
    OPERATOR 6 <=,
    OPERATOR 7 =,
    OPERATOR 8 >=,
    OPERATOR 9 >;
COMMENT ON OPERATOR CLASS timestamptz_ops USING kdtree IS 'filter by timestamptz';

CREATE OPERATOR FAMILY uuid_ops USING kdtree;
COMMENT ON OPERATOR FAMILY uuid_ops USING kdtree IS 'filter by uuid';

CREATE OPERATOR CLASS uuid_ops DEFAULT FOR TYPE uuid USING kdtree FAMILY uuid_ops AS
    OPERATOR 5 <,
    OPERATOR 6 <=,
    OPERATOR 7 =,
    OPERATOR 8 >=,
    OPERATOR 9 >;
COMMENT ON OPERATOR CLASS uuid_ops USING kdtree IS 'filter by uuid';

CREATE OPERATOR FAMILY text_ops USING kdtree;
COMMENT ON OPERATOR FAMILY text_ops USING kdtree IS 'filter by equality of text';

CREATE OPERATOR CLASS text_ops DEFAULT FOR TYPE text USING kdtree FAMILY text_ops AS
    OPERATOR 7 =;
COMMENT ON OPERATOR CLASS text_ops USING kdtree IS 'filter by equality of text';

-- Bit strings and sparse vectors, which an index keeps as they are. Their operators came with version 0.7.0 of pgvector, too.

DO $$
BEGIN
    IF to_regtype('sparsevec') IS NULL THEN
        RETURN;
    END IF;

    CREATE FUNCTION kdtree_metric_hamming() RETURNS int4
        AS 'MODULE_PATHNAME', 'kdtree_metric_hamming_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION kdtree_metric_hamming() IS 'kdtree support function: Hamming distance of bit strings';

    CREATE FUNCTION kdtree_metric_jaccard() RETURNS int4
        AS 'MODULE_PATHNAME', 'kdtree_metric_jaccard_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION kdtree_metric_jaccard() IS 'kdtree support function: Jaccard distance of bit strings';

    CREATE FUNCTION kdtree_metric_sparse_l2() RETURNS int4
        AS 'MODULE_PATHNAME', 'kdtree_metric_sparse_l2_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION kdtree_metric_sparse_l2() IS 'kdtree support function: Euclidean distance of sparse vectors';

    CREATE FUNCTION kdtree_metric_sparse_cosine() RETURNS int4
        AS 'MODULE_PATHNAME', 'kdtree_metric_sparse_cosine_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION kdtree_metric_sparse_cosine() IS 'kdtree support function: cosine distance of sparse vectors';

    CREATE FUNCTION kdtree_metric_sparse_ip() RETURNS int4
        AS 'MODULE_PATHNAME', 'kdtree_metric_sparse_ip_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION kdtree_metric_sparse_ip() IS 'kdtree support function: negative inner product of sparse vectors';

    CREATE FUNCTION kdtree_metric_sparse_l1() RETURNS int4
        AS 'MODULE_PATHNAME', 'kdtree_metric_sparse_l1_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION kdtree_metric_sparse_l1() IS 'kdtree support function: taxicab distance of sparse vectors';

    CREATE OPERATOR CLASS bit_hamming_ops DEFAULT FOR TYPE bit USING kdtree AS
        OPERATOR 1 <~> (bit, bit) FOR ORDER BY float_ops,
        FUNCTION 1 (bit, bit) kdtree_metric_hamming();
    COMMENT ON OPERATOR CLASS bit_hamming_ops USING kdtree IS 'ORDER BY Hamming distance';
    COMMENT ON OPERATOR FAMILY bit_hamming_ops USING kdtree IS 'ORDER BY Hamming distance';

    CREATE OPERATOR CLASS bit_jaccard_ops FOR TYPE bit USING kdtree AS
        OPERATOR 1 <%> (bit, bit) FOR ORDER BY float_ops,
        FUNCTION 1 (bit, bit) kdtree_metric_jaccard();
    COMMENT ON OPERATOR CLASS bit_jaccard_ops USING kdtree IS 'ORDER BY Jaccard distance';
    COMMENT ON OPERATOR FAMILY bit_jaccard_ops USING kdtree IS 'ORDER BY Jaccard distance';

    CREATE OPERATOR CLASS sparsevec_l2_ops DEFAULT FOR TYPE sparsevec USING kdtree AS
        OPERATOR 1 <-> (sparsevec, sparsevec) FOR ORDER BY float_ops,
        FUNCTION 1 (sparsevec, sparsevec) kdtree_metric_sparse_l2();
    COMMENT ON OPERATOR CLASS sparsevec_l2_ops USING kdtree IS 'ORDER BY Euclidean distance';
    COMMENT ON OPERATOR FAMILY sparsevec_l2_ops USING kdtree IS 'ORDER BY Euclidean distance';

    CREATE OPERATOR CLASS sparsevec_cosine_ops FOR TYPE sparsevec USING kdtree AS
        OPERATOR 1 <=> (sparsevec, sparsevec) FOR ORDER BY float_ops,
        FUNCTION 1 (sparsevec, sparsevec) kdtree_metric_sparse_cosine();
    COMMENT ON OPERATOR CLASS sparsevec_cosine_ops USING kdtree IS 'ORDER BY cosine distance';
    COMMENT ON OPERATOR FAMILY sparsevec_cosine_ops USING kdtree IS 'ORDER BY cosine distance';

    CREATE OPERATOR CLASS sparsevec_ip_ops FOR TYPE sparsevec USING kdtree AS
        OPERATOR 1 <#> (sparsevec, sparsevec) FOR ORDER BY float_ops,
        FUNCTION 1 (sparsevec, sparsevec) kdtree_metric_sparse_ip();
    COMMENT ON OPERATOR CLASS sparsevec_ip_ops USING kdtree IS 'ORDER BY negative inner product';
    COMMENT ON OPERATOR FAMILY sparsevec_ip_ops USING kdtree IS 'ORDER BY negative inner product';

    CREATE OPERATOR CLASS sparsevec_l1_ops FOR TYPE sparsevec USING kdtree AS
        OPERATOR 1 <+> (sparsevec, sparsevec) FOR ORDER BY float_ops,
        FUNCTION 1 (sparsevec, sparsevec) kdtree_metric_sparse_l1();
    COMMENT ON OPERATOR CLASS sparsevec_l1_ops USING kdtree IS 'ORDER BY taxicab distance';
    COMMENT ON OPERATOR FAMILY sparsevec_l1_ops USING kdtree IS 'ORDER BY taxicab distance';

    -- Everything within a distance of one of these. (As "bit" the type of a column has any length, as bit that of one bit.)

    CREATE TYPE bit_range AS (center "bit", radius float8);
    COMMENT ON TYPE bit_range IS 'all bit strings within a distance of one';
    CREATE TYPE sparsevec_range AS (center sparsevec, radius float8);
    COMMENT ON TYPE sparsevec_range IS 'all vectors within a distance of one';

    CREATE FUNCTION hamming_within_support(internal) RETURNS internal
        AS 'MODULE_PATHNAME', 'hamming_within_support_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION hamming_within_support(internal) IS 'planner support for hamming_within';

    CREATE FUNCTION jaccard_within_support(internal) RETURNS internal
        AS 'MODULE_PATHNAME', 'jaccard_within_support_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION jaccard_within_support(internal) IS 'planner support for jaccard_within';

    CREATE FUNCTION hamming_within(bit, bit, radius float8) RETURNS boolean
        AS 'MODULE_PATHNAME', 'hamming_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
        SUPPORT hamming_within_support;
    COMMENT ON FUNCTION hamming_within(bit, bit, float8)
        IS 'whether the Hamming distance <~> is at most the radius';

    CREATE FUNCTION jaccard_within(bit, bit, radius float8) RETURNS boolean
        AS 'MODULE_PATHNAME', 'jaccard_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
        SUPPORT jaccard_within_support;
    COMMENT ON FUNCTION jaccard_within(bit, bit, float8)
        IS 'whether the Jaccard distance <%> is at most the radius';

    CREATE FUNCTION l2_within(sparsevec, sparsevec, radius float8) RETURNS boolean
        AS 'MODULE_PATHNAME', 'sparsevec_l2_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
        SUPPORT l2_within_support;
    COMMENT ON FUNCTION l2_within(sparsevec, sparsevec, float8)
        IS 'whether the Euclidean distance <-> is at most the radius';

    CREATE FUNCTION cosine_within(sparsevec, sparsevec, radius float8) RETURNS boolean
        AS 'MODULE_PATHNAME', 'sparsevec_cosine_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
        SUPPORT cosine_within_support;
    COMMENT ON FUNCTION cosine_within(sparsevec, sparsevec, float8)
        IS 'whether the cosine distance <=> is at most the radius';

    CREATE FUNCTION negative_inner_product_within(sparsevec, sparsevec, radius float8) RETURNS boolean
        AS 'MODULE_PATHNAME', 'sparsevec_negative_inner_product_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
        SUPPORT negative_inner_product_within_support;
    COMMENT ON FUNCTION negative_inner_product_within(sparsevec, sparsevec, float8)
        IS 'whether the negative inner product <#> is at most the radius';

    CREATE FUNCTION l1_within(sparsevec, sparsevec, radius float8) RETURNS boolean
        AS 'MODULE_PATHNAME', 'sparsevec_l1_within_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
        SUPPORT l1_within_support;
    COMMENT ON FUNCTION l1_within(sparsevec, sparsevec, float8)
        IS 'whether the taxicab distance <+> is at most the radius';

    CREATE FUNCTION hamming_within_range(bit, bit_range) RETURNS boolean
        AS 'MODULE_PATHNAME', 'hamming_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION hamming_within_range(bit, bit_range) IS 'implementation of <<~> operator';

    CREATE FUNCTION jaccard_within_range(bit, bit_range) RETURNS boolean
        AS 'MODULE_PATHNAME', 'jaccard_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION jaccard_within_range(bit, bit_range) IS 'implementation of <<%> operator';

    CREATE FUNCTION l2_within_range(sparsevec, sparsevec_range) RETURNS boolean
        AS 'MODULE_PATHNAME', 'sparsevec_l2_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION l2_within_range(sparsevec, sparsevec_range) IS 'implementation of <<-> operator';

    CREATE FUNCTION cosine_within_range(sparsevec, sparsevec_range) RETURNS boolean
        AS 'MODULE_PATHNAME', 'sparsevec_cosine_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION cosine_within_range(sparsevec, sparsevec_range) IS 'implementation of <<=> operator';

    CREATE FUNCTION negative_inner_product_within_range(sparsevec, sparsevec_range) RETURNS boolean
        AS 'MODULE_PATHNAME', 'sparsevec_negative_inner_product_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION negative_inner_product_within_range(sparsevec, sparsevec_range) IS 'implementation of <<#> operator';

    CREATE FUNCTION l1_within_range(sparsevec, sparsevec_range) RETURNS boolean
        AS 'MODULE_PATHNAME', 'sparsevec_l1_within_range_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
    COMMENT ON FUNCTION l1_within_range(sparsevec, sparsevec_range) IS 'implementation of <<+> operator';

    CREATE OPERATOR <<~> (LEFTARG = bit, RIGHTARG = bit_range,
        FUNCTION = hamming_within_range, RESTRICT = areasel, JOIN = areajoinsel);
    COMMENT ON OPERATOR <<~> (bit, bit_range) IS 'hamming_within, as a condition of an index';
    CREATE OPERATOR <<%> (LEFTARG = bit, RIGHTARG = bit_range,
        FUNCTION = jaccard_within_range, RESTRICT = areasel, JOIN = areajoinsel);
    COMMENT ON OPERATOR <<%> (bit, bit_range) IS 'jaccard_within, as a condition of an index';
    CREATE OPERATOR <<-> (LEFTARG = sparsevec, RIGHTARG = sparsevec_range,
        FUNCTION = l2_within_range, RESTRICT = areasel, JOIN = areajoinsel);
    COMMENT ON OPERATOR <<-> (sparsevec, sparsevec_range) IS 'l2_within, as a condition of an index';
    CREATE OPERATOR <<=> (LEFTARG = sparsevec, RIGHTARG = sparsevec_range,
        FUNCTION = cosine_within_range, RESTRICT = areasel, JOIN = areajoinsel);
    COMMENT ON OPERATOR <<=> (sparsevec, sparsevec_range) IS 'cosine_within, as a condition of an index';
    CREATE OPERATOR <<#> (LEFTARG = sparsevec, RIGHTARG = sparsevec_range,
        FUNCTION = negative_inner_product_within_range, RESTRICT = areasel, JOIN = areajoinsel);
    COMMENT ON OPERATOR <<#> (sparsevec, sparsevec_range) IS 'negative_inner_product_within, as a condition of an index';
    CREATE OPERATOR <<+> (LEFTARG = sparsevec, RIGHTARG = sparsevec_range,
        FUNCTION = l1_within_range, RESTRICT = areasel, JOIN = areajoinsel);
    COMMENT ON OPERATOR <<+> (sparsevec, sparsevec_range) IS 'l1_within, as a condition of an index';

    ALTER OPERATOR FAMILY bit_hamming_ops USING kdtree ADD OPERATOR 11 <<~> (bit, bit_range);
    ALTER OPERATOR FAMILY bit_jaccard_ops USING kdtree ADD OPERATOR 12 <<%> (bit, bit_range);
    ALTER OPERATOR FAMILY sparsevec_l2_ops USING kdtree ADD OPERATOR 2 <<-> (sparsevec, sparsevec_range);
    ALTER OPERATOR FAMILY sparsevec_cosine_ops USING kdtree ADD OPERATOR 3 <<=> (sparsevec, sparsevec_range);
    ALTER OPERATOR FAMILY sparsevec_ip_ops USING kdtree ADD OPERATOR 4 <<#> (sparsevec, sparsevec_range);
    ALTER OPERATOR FAMILY sparsevec_l1_ops USING kdtree ADD OPERATOR 10 <<+> (sparsevec, sparsevec_range);
END
$$;

-- kdtree 0.2.0: looking after an index.
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

-- The extension kdtree: an index access method for exact nearest-neighbour search, and its operator classes on
-- the type vector.
\echo Use "CREATE EXTENSION kdtree" to load this file. \quit

-- The access method

CREATE FUNCTION kdtree_handler(internal) RETURNS index_am_handler
    AS 'MODULE_PATHNAME', 'kdtree_handler_wrapper' LANGUAGE C STRICT;
COMMENT ON FUNCTION kdtree_handler(internal) IS 'handler of the kdtree index access method';

CREATE ACCESS METHOD kdtree TYPE INDEX HANDLER kdtree_handler;
COMMENT ON ACCESS METHOD kdtree IS 'exact nearest-neighbour search with KD-trees';

-- What an operator class orders by: support function 1

CREATE FUNCTION kdtree_metric_l2() RETURNS int4
    AS 'MODULE_PATHNAME', 'kdtree_metric_l2_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kdtree_metric_l2() IS 'kdtree support function: Euclidean distance';

CREATE FUNCTION kdtree_metric_cosine() RETURNS int4
    AS 'MODULE_PATHNAME', 'kdtree_metric_cosine_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kdtree_metric_cosine() IS 'kdtree support function: cosine distance';

CREATE FUNCTION kdtree_metric_ip() RETURNS int4
    AS 'MODULE_PATHNAME', 'kdtree_metric_ip_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kdtree_metric_ip() IS 'kdtree support function: negative inner product';

-- Operator classes

CREATE OPERATOR CLASS vector_l2_ops DEFAULT FOR TYPE vector USING kdtree AS
    OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 (vector, vector) kdtree_metric_l2();
COMMENT ON OPERATOR CLASS vector_l2_ops USING kdtree IS 'ORDER BY Euclidean distance';
COMMENT ON OPERATOR FAMILY vector_l2_ops USING kdtree IS 'ORDER BY Euclidean distance';

CREATE OPERATOR CLASS vector_cosine_ops FOR TYPE vector USING kdtree AS
    OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 (vector, vector) kdtree_metric_cosine();
COMMENT ON OPERATOR CLASS vector_cosine_ops USING kdtree IS 'ORDER BY cosine distance';
COMMENT ON OPERATOR FAMILY vector_cosine_ops USING kdtree IS 'ORDER BY cosine distance';

CREATE OPERATOR CLASS vector_ip_ops FOR TYPE vector USING kdtree AS
    OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 (vector, vector) kdtree_metric_ip();
COMMENT ON OPERATOR CLASS vector_ip_ops USING kdtree IS 'ORDER BY negative inner product';
COMMENT ON OPERATOR FAMILY vector_ip_ops USING kdtree IS 'ORDER BY negative inner product';

-- Looking inside

CREATE FUNCTION kdtree_stats(
    index regclass,
    OUT kind text,
    OUT vectors int8,
    OUT dead int8,
    OUT leaves int8,
    OUT coarse_bytes int8,
    OUT fine_bytes int8,
    OUT tid_bytes int8,
    OUT directory_bytes int8,
    OUT total_bytes int8,
    OUT dims int4,
    OUT metric text
) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'kdtree_stats_wrapper' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION kdtree_stats(regclass) IS 'the parts of a kdtree index: segments, delta, lists';

CREATE FUNCTION kdtree_last_scan(
    OUT index regclass,
    OUT leaves int8,
    OUT leaves_visited int8,
    OUT coarse int8,
    OUT fine int8,
    OUT delta int8,
    OUT rows int8,
    OUT passes int8
) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'kdtree_last_scan_wrapper' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION kdtree_last_scan() IS 'what the last kdtree index scan of this session did';

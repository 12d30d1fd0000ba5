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

-- Indexes on halfvec: the same rows in the same order as without them, in every way that there is for vector.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE halves (id int PRIMARY KEY, bucket int, v halfvec(3)) WITH (autovacuum_enabled = off);
SELECT setseed(0.5);
INSERT INTO halves
    SELECT i, i % 10, ARRAY[random() * 10, random() * 10, random() * 10] FROM generate_series(1, 3000) i;
-- equal ones, the largest and the smallest, zero and NULL
INSERT INTO halves SELECT 4000 + i, i, '[1,2,3]' FROM generate_series(1, 5) i;
INSERT INTO halves VALUES (4010, 0, '[65504,-65504,0]'), (4011, 1, '[5.9604645e-08,0,0]'), (4012, 2, '[0,0,0]'), (4013, 3, NULL);
CREATE INDEX halves_l2 ON halves USING kdtree (v);
CREATE INDEX halves_cosine ON halves USING kdtree (v halfvec_cosine_ops);
CREATE INDEX halves_ip ON halves USING kdtree (v halfvec_ip_ops);
CREATE INDEX halves_l1 ON halves USING kdtree (v halfvec_l1_ops);
-- These stay in the delta.
INSERT INTO halves SELECT 5000 + i, i % 10, ARRAY[i, 1, 2]::halfvec FROM generate_series(1, 20) i;
SELECT DISTINCT metric, dims FROM unnest(ARRAY['halves_l2', 'halves_cosine', 'halves_ip', 'halves_l1']) index, kdtree_stats(index)
    WHERE dims IS NOT NULL ORDER BY metric;
SELECT index, kdtree_check(index, true) FROM unnest(ARRAY['halves_l2', 'halves_cosine', 'halves_ip', 'halves_l1']) index;

-- All rows, in order: distances are compared, since among equal ones the order is free.
CREATE FUNCTION in_order(operator text, query text, condition text, scan text) RETURNS text[] AS $$
DECLARE
    distances text[];
BEGIN
    PERFORM set_config('enable_seqscan', (scan = 'seqscan')::text, true);
    PERFORM set_config('enable_sort', (scan = 'seqscan')::text, true);
    PERFORM set_config('enable_indexscan', (scan = 'indexscan')::text, true);
    PERFORM set_config('enable_bitmapscan', 'off', true);
    EXECUTE format('SELECT array_agg(d) FROM (SELECT (v %1$s %2$L::halfvec)::text d FROM halves WHERE %3$s ORDER BY v %1$s %2$L::halfvec) t',
        operator, query, condition) INTO distances;
    RETURN distances;
END $$ LANGUAGE plpgsql;
SELECT operator, query, condition, cardinality(in_order(operator, query, condition, 'seqscan')) AS rows,
    in_order(operator, query, condition, 'indexscan') = in_order(operator, query, condition, 'seqscan') AS same
FROM unnest(ARRAY['<->', '<=>', '<#>', '<+>']) operator,
    unnest(ARRAY['[1,2,3]', '[65504,65504,65504]', '[0,0,0]', '[-6e-8,0,1e-3]']) query,
    unnest(ARRAY['true', 'id > 2990']) condition;
SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM halves ORDER BY v <-> '[1,2,3]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM halves ORDER BY v <=> '[1,2,3]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM halves ORDER BY v <#> '[1,2,3]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM halves ORDER BY v <+> '[1,2,3]' LIMIT 5;
SELECT id, v <+> '[3,1,2]' AS distance FROM halves ORDER BY v <+> '[3,1,2]' LIMIT 1;
SELECT id FROM halves ORDER BY v <-> '[1,2]' LIMIT 1;
SELECT id FROM halves ORDER BY v <-> (SELECT '[1,2]'::halfvec) LIMIT 1;
\echo :SQLSTATE

-- What approximate scans find, for queries of one's own, too
SELECT measured, mean, minimum FROM kdtree_recall('halves_l1', 10, 20, 0.9);
SELECT measured, mean, minimum FROM kdtree_recall('halves_l2', ARRAY['[1,2,3]', '[4,5,6]']::vector[]);

-- Within a distance
EXPLAIN (COSTS OFF) SELECT * FROM halves WHERE l2_within(v, '[1,2,3]', 2);
EXPLAIN (COSTS OFF) SELECT * FROM halves WHERE l1_within(v, '[1,2,3]', 2) ORDER BY v <+> '[1,2,3]';
RESET enable_seqscan;
RESET enable_sort;
CREATE FUNCTION found(condition text, enabled text) RETURNS int[] AS $$
DECLARE
    method text;
    ids int[];
BEGIN
    FOREACH method IN ARRAY ARRAY['seqscan', 'bitmapscan', 'indexscan'] LOOP
        PERFORM set_config('enable_' || method, (method = enabled)::text, true);
    END LOOP;
    EXECUTE 'SELECT array_agg(id ORDER BY id) FROM halves WHERE ' || condition INTO ids;
    RETURN coalesce(ids, '{}');
END $$ LANGUAGE plpgsql;
SELECT condition, cardinality(found(condition, 'seqscan')) AS rows,
    found(condition, 'bitmapscan') = found(condition, 'seqscan') AS bitmap_scan,
    found(condition, 'indexscan') = found(condition, 'seqscan') AS index_scan
FROM unnest(ARRAY[
    'l2_within(v, ''[1,2,3]'', 0)',
    'l2_within(v, ''[5,5,5]'', 4)',
    'l2_within(v, ''[1,2,3]'', NULL)',
    'l2_within(v, ''[1,2,3]'', ''NaN'')',
    'cosine_within(v, ''[1,2,3]'', 0.01)',
    'cosine_within(v, ''[0,0,0]'', ''NaN'')',
    'negative_inner_product_within(v, ''[1,2,3]'', -40)',
    'l1_within(v, ''[1,2,3]'', 0)',
    'l1_within(v, ''[1,2,3]'', 2.5)',
    'l1_within(v, ''[65504,-65504,0]'', 0)',
    'l1_within(v, ''[1,2,3]'', 3) AND l2_within(v, ''[1,2,3]'', 1)',
    'v <<+> ROW(''[1,2,3]'', 2)::halfvec_range',
    'v <<-> ROW(NULL, 2)::halfvec_range'
]) AS condition;
SELECT l2_within('[1,2]'::halfvec, '[1,2,3]', 1);

-- Filters beside it
CREATE INDEX halves_filtered ON halves USING kdtree (v, bucket);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM halves WHERE bucket = 7 ORDER BY v <-> '[1,2,3]' LIMIT 5;
RESET enable_seqscan;
SELECT in_order('<->', '[1,2,3]', 'bucket = 7', 'indexscan') = in_order('<->', '[1,2,3]', 'bucket = 7', 'seqscan') AS same;

-- Columns of other types, as an expression
CREATE TABLE singles (id int, embedding vector(3));
INSERT INTO singles SELECT i, ARRAY[i, i / 3.0, 1] FROM generate_series(1, 500) i;
CREATE INDEX singles_halves ON singles USING kdtree ((embedding::halfvec(3)) halfvec_l2_ops);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM singles ORDER BY embedding::halfvec(3) <-> '[100,33,1]' LIMIT 3;
SELECT id FROM singles ORDER BY embedding::halfvec(3) <-> '[100,33,1]' LIMIT 3;
EXPLAIN (COSTS OFF) SELECT id FROM singles WHERE l2_within(embedding::halfvec(3), '[100,33,1]', 1.5);
SELECT id FROM singles WHERE l2_within(embedding::halfvec(3), '[100,33,1]', 1.5);
INSERT INTO singles VALUES (501, '[70000,0,0]');
\echo :SQLSTATE
RESET enable_seqscan;

-- As many dimensions as there can be, and changes
CREATE TABLE wide (id int, v halfvec);
CREATE INDEX wide_v ON wide USING kdtree (v);
INSERT INTO wide SELECT i, array_fill(i, ARRAY[16000])::halfvec FROM generate_series(1, 40) i;
INSERT INTO wide VALUES (41, '[1,2,3]');
\echo :SQLSTATE
DELETE FROM wide WHERE id % 3 = 0;
VACUUM wide;
SELECT kdtree_merge('wide_v');
SELECT id, v <-> array_fill(10, ARRAY[16000])::halfvec < 130 AS near FROM wide ORDER BY v <-> array_fill(10, ARRAY[16000])::halfvec LIMIT 3;
SELECT * FROM kdtree_check('wide_v', true);
DROP TABLE halves, singles, wide;
DROP FUNCTION in_order, found;

-- Indexes by taxicab distance: the same rows in the same order as without them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
CREATE TABLE taxis (id int PRIMARY KEY, bucket int, v vector(3)) WITH (autovacuum_enabled = off);
SELECT setseed(0.75);
INSERT INTO taxis
    SELECT i, i % 10, ARRAY[random() * 10, random() * 10, random() * 10] FROM generate_series(1, 3000) i;
-- equal ones, those that single precision overflows on, denormal ones, zero and NULL
INSERT INTO taxis SELECT 4000 + i, i, '[1,2,3]' FROM generate_series(1, 5) i;
INSERT INTO taxis VALUES (4010, 0, '[3e38,-3e38,0]'), (4011, 1, '[1e-45,0,0]'), (4012, 2, '[0,0,0]'), (4013, 3, NULL),
    (4014, 4, '[1e20,0,0]'), (4015, 5, '[-3e38,3e38,0]');
CREATE INDEX taxis_v ON taxis USING kdtree (v vector_l1_ops, bucket);
INSERT INTO taxis SELECT 5000 + i, i % 10, ARRAY[i, 1, 2]::vector FROM generate_series(1, 20) i;
SELECT DISTINCT metric, dims FROM kdtree_stats('taxis_v') WHERE dims IS NOT NULL;
SELECT * FROM kdtree_check('taxis_v', true);

CREATE FUNCTION in_order(query text, condition text, scan text) RETURNS text[] AS $$
DECLARE
    distances text[];
BEGIN
    PERFORM set_config('enable_seqscan', (scan = 'seqscan')::text, true);
    PERFORM set_config('enable_sort', (scan = 'seqscan')::text, true);
    PERFORM set_config('enable_indexscan', (scan = 'indexscan')::text, true);
    PERFORM set_config('enable_bitmapscan', 'off', true);
    EXECUTE format('SELECT array_agg(d) FROM (SELECT (v <+> %1$L)::text d FROM taxis WHERE %2$s ORDER BY v <+> %1$L) t',
        query, condition) INTO distances;
    RETURN distances;
END $$ LANGUAGE plpgsql;
SELECT query, condition, cardinality(in_order(query, condition, 'seqscan')) AS rows,
    in_order(query, condition, 'indexscan') = in_order(query, condition, 'seqscan') AS same
FROM unnest(ARRAY['[1,2,3]', '[3e38,3e38,3e38]', '[0,0,0]', '[-1e-45,0,1e-3]', '[1e15,0,0]']) query,
    unnest(ARRAY['true', 'bucket = 3', 'bucket IN (1, 4) AND id > 100', 'l1_within(v, ''[1,2,3]'', 2)',
        'l1_within(v, ''[0,0,0]'', ''Infinity'')', 'v <<+> ROW(''[5,5,5]'', 3)::vector_range']) condition;

SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM taxis WHERE bucket = 1 ORDER BY v <+> '[1,2,3]' LIMIT 3;
EXPLAIN (COSTS OFF) SELECT id FROM taxis WHERE l1_within(v, '[1,2,3]', 1);
EXPLAIN (COSTS OFF) SELECT id FROM taxis WHERE l1_within(v, '[1,2,3]', 1) ORDER BY v <+> '[1,2,3]';
-- another metric's condition is none of this index
EXPLAIN (COSTS OFF) SELECT id FROM taxis WHERE l2_within(v, '[1,2,3]', 1) ORDER BY v <+> '[1,2,3]';
SELECT id, v <+> '[1,2,3]' AS distance FROM taxis ORDER BY v <+> '[1,2,3]' LIMIT 5;
SELECT coarse < 1500 AS few FROM kdtree_last_scan();
SELECT id FROM taxis WHERE l1_within(v, '[1,2,3]', 0) ORDER BY id;
SELECT id FROM taxis WHERE l1_within(v, '[0,0,0]', 6) AND id > 4000 ORDER BY id;
SELECT id FROM taxis ORDER BY v <+> '[1,2]' LIMIT 1;
SELECT l1_within('[1,2]'::vector, '[1,2,3]', 1);
RESET enable_seqscan;
DELETE FROM taxis WHERE id % 4 = 0;
VACUUM taxis;
SELECT kdtree_merge('taxis_v');
SELECT * FROM kdtree_check('taxis_v', true);
SELECT in_order('[5,5,5]', 'true', 'indexscan') = in_order('[5,5,5]', 'true', 'seqscan') AS same;
DROP TABLE taxis;
DROP FUNCTION in_order;

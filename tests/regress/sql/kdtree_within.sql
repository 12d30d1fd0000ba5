-- Everything within a distance: l2_within and its like, as conditions that the index searches for.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all
CREATE TABLE items (id int PRIMARY KEY, v vector(3)) WITH (autovacuum_enabled = off);
SELECT setseed(0.25);
INSERT INTO items
    SELECT i, ARRAY[random() * 10, random() * 10, random() * 10] FROM generate_series(1, 3000) i;
INSERT INTO items VALUES (4000, NULL), (4001, '[0,0,0]'), (4002, '[1e20,0,0]'), (4003, '[3,4,0]');
CREATE INDEX items_l2 ON items USING kdtree (v vector_l2_ops);
CREATE INDEX items_cosine ON items USING kdtree (v vector_cosine_ops);
CREATE INDEX items_ip ON items USING kdtree (v vector_ip_ops);
-- These stay in the delta.
INSERT INTO items SELECT i, ARRAY[i - 5000, 1, 2]::vector FROM generate_series(5001, 5020) i;
ANALYZE items;

-- The function becomes a condition of the index, of the right one.
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE l2_within(v, '[1,2,3]', 2);
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE l2_within('[1,2,3]', v, 2);
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE cosine_within(v, '[1,2,3]', 0.01);
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE negative_inner_product_within(v, '[1,2,3]', -40);
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE l2_within(v, '[1,2,3]', 2);
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE l2_within(v, '[1,2,3]', 2) ORDER BY v <-> '[1,2,3]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT b.id FROM items a, items b WHERE a.id = 5 AND l2_within(b.v, a.v, 1);
-- Nothing to search for: the radius is a column's.
SELECT * FROM pg_temp.kd_plan($$SELECT * FROM items WHERE l2_within(v, '[1,2,3]', id)$$);
RESET enable_bitmapscan;

-- The same rows as without an index: how many there are, and whether the other plans find the same.
CREATE FUNCTION found(condition text, enabled text) RETURNS int[] AS $$
DECLARE
    method text;
    ids int[];
BEGIN
    FOREACH method IN ARRAY ARRAY['seqscan', 'bitmapscan', 'indexscan'] LOOP
        PERFORM set_config('enable_' || method, (method = enabled)::text, true);
    END LOOP;
    EXECUTE 'SELECT array_agg(id ORDER BY id) FROM items WHERE ' || condition INTO ids;
    RETURN coalesce(ids, '{}');
END $$ LANGUAGE plpgsql;
SELECT condition, cardinality(found(condition, 'seqscan')) AS rows,
    found(condition, 'bitmapscan') = found(condition, 'seqscan') AS bitmap_scan,
    found(condition, 'indexscan') = found(condition, 'seqscan') AS index_scan
FROM unnest(ARRAY[
    'l2_within(v, ''[1,2,3]'', 0.5)',
    'l2_within(v, ''[5,5,5]'', 4)',
    -- at most the radius, exactly
    'l2_within(v, ''[0,0,0]'', 5)',
    'l2_within(v, ''[3,4,0]'', 0)',
    'l2_within(v, ''[3,4,0]'', -1)',
    'l2_within(v, ''[0,0,0]'', 1e21)',
    'l2_within(v, ''[1,2,3]'', ''Infinity'')',
    'l2_within(v, ''[1,2,3]'', ''-Infinity'')',
    'l2_within(v, ''[1,2,3]'', ''NaN'')',
    'l2_within(v, ''[1e20,0,0]'', 1)',
    'l2_within(v, ''[1,2,3]'', NULL)',
    'l2_within(v, NULL, 1)',
    'l2_within(v, ''[1,2,3]'', 3) AND l2_within(v, ''[3,2,1]'', 3)',
    'l2_within(v, ''[1,2,3]'', 3) AND cosine_within(v, ''[3,2,1]'', 0.05)',
    'l2_within(v, ''[1,2,3]'', 3) AND id % 2 = 0',
    'cosine_within(v, ''[1,2,3]'', 0.01)',
    'cosine_within(v, ''[1,2,3]'', 2)',
    'cosine_within(v, ''[1,2,3]'', ''NaN'')',
    'cosine_within(v, ''[0,0,0]'', 2)',
    'cosine_within(v, ''[0,0,0]'', ''NaN'')',
    'negative_inner_product_within(v, ''[1,2,3]'', -40)',
    'negative_inner_product_within(v, ''[0,0,0]'', 0)',
    'negative_inner_product_within(v, ''[-1,0,0]'', ''Infinity'')'
]) AS condition;
RESET enable_seqscan; RESET enable_bitmapscan; RESET enable_indexscan;

-- With an order by the same distance the scan ends at the radius; with another, rows are looked at one by one.
SET enable_seqscan = off;
SET enable_sort = off;
SELECT id FROM items WHERE l2_within(v, '[3,4,0]', 0.8) ORDER BY v <-> '[3,4,0]';
SELECT fine < 1000 AS few FROM kdtree_last_scan();
SELECT id FROM items WHERE l2_within(v, '[3,4,0]', 0.8) ORDER BY v <-> '[3,4,1]';
SELECT id FROM items WHERE l2_within(v, '[3,4,0]', 0.8) ORDER BY v <-> NULL, id;
SELECT count(*) FROM (SELECT FROM items WHERE l2_within(v, '[3,4,0]', 'NaN') ORDER BY v <-> '[3,4,0]') t;
RESET enable_sort;

-- Parameters, and conditions that change from row to row.
PREPARE near(vector, float8) AS SELECT count(*) FROM items WHERE l2_within(v, $1, $2);
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE near('[1,2,3]', 1);
EXECUTE near('[1,2,3]', 1);
EXECUTE near('[1,2,3]', 2);
EXECUTE near('[1,2,3]', NULL);
RESET plan_cache_mode;
SELECT a.id, count(*) FROM items a, items b
    WHERE a.id BETWEEN 4001 AND 4003 AND l2_within(b.v, a.v, a.id - 4000) GROUP BY a.id ORDER BY a.id;

-- Mistakes
SELECT * FROM items WHERE l2_within(v, '[1,2]', 1);
SELECT l2_within('[1,2]'::vector, '[1,2,3]', 1);
RESET enable_seqscan;
SELECT l2_within('[1,2]'::vector, '[1,2]', NULL) IS NULL AS null_radius, '[1,2]'::vector <<-> ROW('[1,2]', 0)::vector_range AS operator,
    '[1,2]'::vector <<-> ROW(NULL, 0)::vector_range AS null_center;

-- What belongs to the operator class
SELECT amvalidate(oid) FROM pg_opclass WHERE opcmethod = (SELECT oid FROM pg_am WHERE amname = 'kdtree') AND opcintype = 'vector'::regtype ORDER BY opcname;
DROP FUNCTION found(text, text);
DROP TABLE items;

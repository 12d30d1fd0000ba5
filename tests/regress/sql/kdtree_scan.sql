-- ORDER BY distance: plans and results of every kind of query.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE items (id int PRIMARY KEY, category int, v vector(8));
INSERT INTO items SELECT i, i % 10, pg_temp.kd_vector(i, 8) FROM generate_series(1, 4000) i;
INSERT INTO items SELECT i, i % 10, NULL FROM generate_series(4001, 4010) i;
CREATE INDEX items_v ON items USING kdtree (v);
INSERT INTO items SELECT i, i % 10, pg_temp.kd_vector(i, 8) FROM generate_series(4011, 4200) i;
INSERT INTO items VALUES (4201, 1, NULL);
ANALYZE items;

-- the planner chooses the index for ORDER BY with a small LIMIT, and not without one
EXPLAIN (COSTS OFF) SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]';
-- it cannot serve other orders, conditions, or none
SET enable_seqscan = off;
SELECT * FROM pg_temp.kd_plan($$SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' DESC LIMIT 5$$);
SELECT * FROM pg_temp.kd_plan($$SELECT id FROM items ORDER BY v <=> '[0,0,0,0,0,0,0,0]' LIMIT 5$$);
SELECT * FROM pg_temp.kd_plan($$SELECT id FROM items WHERE v <-> '[0,0,0,0,0,0,0,0]' < 1$$);
SELECT * FROM pg_temp.kd_plan($$SELECT v FROM items$$);
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT * FROM pg_temp.kd_plan($$SELECT count(*) FROM items$$);
RESET enable_indexscan;
RESET enable_bitmapscan;
RESET enable_seqscan;

-- every LIMIT and OFFSET
SELECT n, pg_temp.kd_compare(format($$SELECT id, v <-> '[.1,.2,.3,.4,.5,.6,.7,.8]' AS d FROM items WHERE v IS NOT NULL ORDER BY 2 LIMIT %s$$, n))
  FROM unnest(ARRAY[0, 1, 2, 10, 100, 1000, 4190, 10000]) n;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[.1,.2,.3,.4,.5,.6,.7,.8]' AS d FROM items ORDER BY 2 OFFSET 100 LIMIT 5$$);
-- NULLs come last
SELECT pg_temp.kd_compare($$SELECT v <-> '[9,9,9,9,9,9,9,9]' AS d FROM items ORDER BY 1$$);
SELECT pg_temp.kd_compare($$SELECT v IS NULL, v <-> '[9,9,9,9,9,9,9,9]' AS d FROM items ORDER BY 2 OFFSET 4185$$);

-- conditions of any selectivity
SELECT n, pg_temp.kd_compare(format($$SELECT id, v <-> '[.1,.2,.3,.4,.5,.6,.7,.8]' AS d FROM items WHERE category < %s AND v IS NOT NULL ORDER BY 2 LIMIT 5$$, n))
  FROM generate_series(0, 10, 5) n;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[.1,.2,.3,.4,.5,.6,.7,.8]' AS d FROM items WHERE id + 0 = 4100 ORDER BY 2 LIMIT 5$$);
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM items WHERE v <-> '[0,0,0,0,0,0,0,0]' < 1 ORDER BY 2$$);

-- a query that is NULL: no order, all rows
SET enable_seqscan = off;
SELECT * FROM pg_temp.kd_plan($$SELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> (SELECT NULL::vector)) q$$);
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <-> (SELECT NULL::vector) LIMIT 100000) q;
SELECT count(d) FROM (SELECT v <-> (SELECT NULL::vector) AS d FROM items ORDER BY 1 LIMIT 100000) q;
RESET enable_seqscan;

-- prepared statements, custom and generic
PREPARE nearest(vector, int) AS SELECT id FROM items ORDER BY v <-> $1 LIMIT $2;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE nearest('[0,0,0,0,0,0,0,0]', 3);
EXECUTE nearest('[0,0,0,0,0,0,0,0]', 3);
SET plan_cache_mode = force_custom_plan;
EXECUTE nearest('[0,0,0,0,0,0,0,0]', 3);
RESET plan_cache_mode;
SELECT id FROM (SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM items OFFSET 0) q ORDER BY d LIMIT 3;
DEALLOCATE nearest;

-- LATERAL: a scan for each row of the other side
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT q.id, n.id FROM items q, LATERAL (SELECT id FROM items n ORDER BY n.v <-> q.v LIMIT 2) n WHERE q.id IN (1, 2000, 4100) ORDER BY 1, 2;
CREATE TEMP TABLE by_index AS
  SELECT q.id, array_agg(n.d ORDER BY n.d) FROM items q, LATERAL (SELECT n.v <-> q.v AS d FROM items n ORDER BY n.v <-> q.v LIMIT 3) n
  WHERE q.id % 100 = 0 OR q.id = 4001 GROUP BY 1;
RESET enable_seqscan;
SET enable_indexscan = off;
CREATE TEMP TABLE by_sort AS
  SELECT q.id, array_agg(n.d ORDER BY n.d) FROM items q, LATERAL (SELECT n.v <-> q.v AS d FROM items n ORDER BY n.v <-> q.v LIMIT 3) n
  WHERE q.id % 100 = 0 OR q.id = 4001 GROUP BY 1;
RESET enable_indexscan;
SELECT count(*) FROM by_index JOIN by_sort USING (id, array_agg);
SELECT count(*) FROM by_sort;
DROP TABLE by_index, by_sort;

-- joins, aggregates, subqueries, UNION
SELECT pg_temp.kd_compare($$SELECT i.id, i.v <-> '[0,0,0,0,0,0,0,0]' AS d FROM items i JOIN (VALUES (1), (3)) c(category) USING (category) ORDER BY i.v <-> '[0,0,0,0,0,0,0,0]' LIMIT 9$$);
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT v FROM items WHERE id = 17) AS d FROM items ORDER BY v <-> (SELECT v FROM items WHERE id = 17) LIMIT 9$$);
SELECT pg_temp.kd_compare($$SELECT id, d FROM ((SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM items ORDER BY 2 LIMIT 3) UNION ALL (SELECT id, v <-> '[1,1,1,1,1,1,1,1]' AS d FROM items ORDER BY 2 LIMIT 3)) u$$);
SELECT pg_temp.kd_compare($$SELECT id, rank() OVER (ORDER BY v <-> '[0,0,0,0,0,0,0,0]') AS d FROM items LIMIT 4$$);

-- cursors: rows as they are asked for, changes meanwhile are not seen
BEGIN;
SET LOCAL enable_seqscan = off;
DECLARE near CURSOR FOR SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]';
FETCH 2 FROM near;
DELETE FROM items WHERE id % 2 = 0;
INSERT INTO items SELECT -i, 0, '[0,0,0,0,0,0,0,0]' FROM generate_series(1, 50) i;
FETCH 2 FROM near;
MOVE 4000 FROM near;
MOVE ALL FROM near;
FETCH 1 FROM near;
CLOSE near;
DECLARE scrolling SCROLL CURSOR FOR SELECT id FROM items WHERE id > 0 ORDER BY v <-> '[0,0,0,0,0,0,0,0]';
FETCH 2 FROM scrolling;
FETCH BACKWARD 1 FROM scrolling;
FETCH LAST FROM scrolling;
ROLLBACK;

-- two scans of one index at a time
BEGIN;
SET LOCAL enable_seqscan = off;
DECLARE one CURSOR FOR SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]';
DECLARE two CURSOR FOR SELECT id FROM items ORDER BY v <-> '[1,1,1,1,1,1,1,1]';
FETCH 2 FROM one;
FETCH 2 FROM two;
FETCH 2 FROM one;
FETCH 2 FROM two;
COMMIT;

-- partitions: Merge Append
CREATE TABLE parted (id int, v vector(3)) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1000) TO (2000);
CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM (2000) TO (3000);
CREATE INDEX parted_v ON parted USING kdtree (v);
INSERT INTO parted SELECT i, pg_temp.kd_vector(i, 3) FROM generate_series(0, 2499) i;
REINDEX INDEX parted_v;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM parted ORDER BY v <-> '[0.5,0.5,0.5]' LIMIT 5;
RESET enable_seqscan;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0.5,0.5,0.5]' AS d FROM parted ORDER BY 2 LIMIT 50$$);
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0.5,0.5,0.5]' AS d FROM parted WHERE id < 1500 ORDER BY 2$$);

-- what the last scan did
SET enable_seqscan = off;
SELECT id FROM items ORDER BY v <-> '[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]' LIMIT 1;
SELECT index, leaves > 1, leaves_visited BETWEEN 1 AND leaves, coarse BETWEEN 1 AND 4000, fine BETWEEN 1 AND coarse, delta BETWEEN 190 AND 240, rows BETWEEN 1 AND 100, passes
  FROM kdtree_last_scan();
-- a session that has not scanned yet
\c
SET enable_seqscan = off;
SELECT * FROM kdtree_last_scan();

-- scans are counted
SELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 1) nearest;
SELECT pg_stat_force_next_flush();
SELECT idx_scan > 0 FROM pg_stat_user_indexes WHERE indexrelname = 'items_v';

DROP TABLE items, parted;

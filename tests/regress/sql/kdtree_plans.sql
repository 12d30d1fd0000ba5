-- Plans that are kept, repeated or joined: prepared statements and what invalidates them, rescans, merge joins.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

-- Row i is at distance i from the origin.
CREATE TABLE points (id int PRIMARY KEY, label int, v vector(2)) WITH (autovacuum_enabled = off);
INSERT INTO points SELECT i, i % 3, ARRAY[i, 0] FROM generate_series(1, 2000) i;
CREATE INDEX points_v ON points USING kdtree (v);
INSERT INTO points SELECT i, i % 3, ARRAY[0, i] FROM generate_series(2001, 2020) i;
ANALYZE points;

-- a generic plan, and what becomes of it
PREPARE near(vector, int) AS SELECT id FROM points ORDER BY v <-> $1 LIMIT $2;
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) EXECUTE near('[0,0]', 2);
EXECUTE near('[0,0]', 2);
EXECUTE near('[2000.5,0]', 2);
EXECUTE near('[1,0]', 0);
EXECUTE near('[0,0,0]', 2);
-- settings of the planner do not touch a plan that is there; DISCARD PLANS does
RESET enable_seqscan;
SET enable_indexscan = off;
EXPLAIN (COSTS OFF) EXECUTE near('[0,0]', 2);
DISCARD PLANS;
EXPLAIN (COSTS OFF) EXECUTE near('[0,0]', 2);
EXECUTE near('[0,0]', 2);
RESET enable_indexscan;
SET enable_seqscan = off;
DISCARD PLANS;
-- settings of the index are read when it is used
EXECUTE near('[0,0]', 2);
ALTER INDEX points_v SET (delta_size = 64);
SET kdtree.delta_size = '1MB';
EXPLAIN (COSTS OFF) EXECUTE near('[0,0]', 2);
EXECUTE near('[0,0]', 2);
RESET kdtree.delta_size;
-- another name, another index, none, a new one, other rows
ALTER INDEX points_v RENAME TO points_w;
EXPLAIN (COSTS OFF) EXECUTE near('[0,0]', 2);
REINDEX INDEX points_w;
EXECUTE near('[0,0]', 2);
DROP INDEX points_w;
SELECT * FROM pg_temp.kd_plan($$EXECUTE near('[0,0]', 2)$$);
EXECUTE near('[0,0]', 2);
CREATE INDEX points_v ON points USING kdtree (v);
EXPLAIN (COSTS OFF) EXECUTE near('[0,0]', 2);
ALTER TABLE points ADD COLUMN later int DEFAULT 5;
EXECUTE near('[0,0]', 2);
TRUNCATE points;
EXECUTE near('[0,0]', 2);
INSERT INTO points SELECT i, i % 3, ARRAY[i, 0] FROM generate_series(1, 2000) i;
EXECUTE near('[0,0]', 2);
VACUUM FULL points;
EXECUTE near('[0,0]', 2);
DROP INDEX points_v;
ALTER TABLE points ALTER COLUMN v TYPE vector(3) USING v || '[0]';
CREATE INDEX points_v ON points USING kdtree (v);
EXECUTE near('[0,0]', 2);
EXECUTE near('[0,0,0]', 2);
EXPLAIN (COSTS OFF) EXECUTE near('[0,0,0]', 2);
ALTER TABLE points ALTER COLUMN v TYPE vector(2) USING subvector(v, 1, 2);
-- the type was changed under the index, which was built again
EXECUTE near('[0,0]', 2);
DEALLOCATE near;
RESET plan_cache_mode;

-- functions keep plans too, and change over to a generic one
CREATE FUNCTION pg_temp.nearest(target vector) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT id FROM points ORDER BY v <-> target LIMIT 1);
END
$$;
SELECT pg_temp.nearest(ARRAY[i * 100 + 0.25, 0]::vector) FROM generate_series(1, 8) i;

-- rescans: the query's vector from the outer row, NULL at times, and at times the same as before
SET enable_sort = off;
SET enable_material = off;
SET enable_memoize = off;
EXPLAIN (COSTS OFF)
  SELECT q.n, near.id FROM (VALUES (1, vector '[5.2,0]'), (2, NULL), (3, '[5.2,0]'), (4, '[0,1]')) q(n, target)
  CROSS JOIN LATERAL (SELECT id FROM points ORDER BY v <-> q.target LIMIT 2) near;
SELECT q.n, near.id FROM (VALUES (1, vector '[5.2,0]'), (3, '[5.2,0]'), (4, '[0.1,1]'), (5, '[3000,0]')) q(n, target)
  CROSS JOIN LATERAL (SELECT id FROM points ORDER BY v <-> q.target LIMIT 2) near;
-- with NULL there is no order, but there are rows
SELECT q.n, count(near.id) FROM (VALUES (1, vector '[5.2,0]'), (2, NULL), (3, '[5.2,0]')) q(n, target)
  CROSS JOIN LATERAL (SELECT id FROM points ORDER BY v <-> q.target LIMIT 7) near GROUP BY q.n ORDER BY q.n;
-- of a scan that was not finished, and of one inside another
SELECT a.id, b.id, c.id FROM (SELECT id, v FROM points ORDER BY v <-> '[0,0]' LIMIT 2) a
  CROSS JOIN LATERAL (SELECT id, v FROM points WHERE id <> a.id ORDER BY v <-> a.v LIMIT 1) b
  CROSS JOIN LATERAL (SELECT id FROM points WHERE id NOT IN (a.id, b.id) ORDER BY v <-> b.v LIMIT 1) c;
-- with the result kept for vectors that come again
SET enable_memoize = on;
SELECT count(*), count(DISTINCT near.id) FROM generate_series(1, 300) n
  CROSS JOIN LATERAL (SELECT id FROM points ORDER BY v <-> ARRAY[n % 10 + 10, 0]::vector LIMIT 1) near;
RESET enable_memoize;
RESET enable_material;

-- the inner side of a merge join goes back to a marked row where outer rows are equal
SET enable_hashjoin = off;
SET enable_nestloop = off;
CREATE TABLE doubled AS SELECT i AS id, (ARRAY[i / 2, 0])::vector AS v FROM generate_series(2, 41) i;
CREATE INDEX doubled_v ON doubled USING kdtree (v);
SELECT * FROM pg_temp.kd_plan($$
  SELECT a.id, b.id FROM (SELECT id, v <-> '[0,0]' AS d FROM doubled ORDER BY 2) a
  JOIN (SELECT id, v <-> '[0,0]' AS d FROM doubled ORDER BY 2) b USING (d)
$$);
SELECT count(*), count(DISTINCT (a.id, b.id)), sum(a.id - b.id) FROM (SELECT id, v <-> '[0,0]' AS d FROM doubled ORDER BY 2) a
  JOIN (SELECT id, v <-> '[0,0]' AS d FROM doubled ORDER BY 2) b USING (d);
DROP TABLE doubled;
RESET enable_hashjoin;
RESET enable_nestloop;

DROP TABLE points;

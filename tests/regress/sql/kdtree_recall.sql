-- Approximate search: the setting kdtree.recall, the index option recall, and what kdtree_recall measures.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

-- one segment that is large enough to have cells
CREATE TABLE points (id int PRIMARY KEY, v vector(24));
INSERT INTO points SELECT i, pg_temp.kd_vector(i, 24) FROM generate_series(1, 12000) i;
CREATE INDEX points_v ON points USING kdtree (v);
SELECT kind, vectors FROM kdtree_stats('points_v') WHERE vectors > 0;
ANALYZE points;
SET enable_seqscan = off;

-- rows of a query among the ten nearest, and the vectors that the scan looked at
PREPARE nearest AS SELECT id FROM points ORDER BY v <-> pg_temp.kd_vector(123456, 24) LIMIT 10;
CREATE TEMP TABLE truth AS EXECUTE nearest;
SELECT coarse >= 12000 AS looked_at_all FROM kdtree_last_scan();

-- the setting
SHOW kdtree.recall;
SET kdtree.recall = 0.5;
CREATE TEMP TABLE half AS EXECUTE nearest;
SELECT count(*) FROM half;
SELECT coarse < 12000 AS looked_at_few FROM kdtree_last_scan();
SET kdtree.recall = 0.9;
CREATE TEMP TABLE most AS EXECUTE nearest;
SELECT coarse < 12000 AS looked_at_few FROM kdtree_last_scan();
SELECT count(*) >= 7 AS found_most FROM most NATURAL JOIN truth;
SET kdtree.recall = 1;
SELECT count(*) FROM truth NATURAL JOIN (SELECT id FROM points ORDER BY v <-> pg_temp.kd_vector(123456, 24) LIMIT 10) exact;
SET kdtree.recall = 0.4;
SET kdtree.recall = 1.1;
SET kdtree.recall = 'most';
RESET kdtree.recall;
SHOW kdtree.recall;

-- the index option, which counts as long as nobody sets the setting, be it to its default
ALTER INDEX points_v SET (recall = 0.6);
SELECT reloptions FROM pg_class WHERE relname = 'points_v';
CREATE TEMP TABLE by_option AS EXECUTE nearest;
SELECT coarse < 12000 AS looked_at_few FROM kdtree_last_scan();
SELECT target FROM kdtree_recall('points_v', queries => 1);
SET kdtree.recall = 1;
SELECT target FROM kdtree_recall('points_v', queries => 1);
CREATE TEMP TABLE by_setting AS EXECUTE nearest;
SELECT coarse >= 12000 AS looked_at_all FROM kdtree_last_scan();
BEGIN;
SET LOCAL kdtree.recall = 0.7;
SELECT target FROM kdtree_recall('points_v', queries => 1);
ROLLBACK;
RESET kdtree.recall;
SELECT target FROM kdtree_recall('points_v', queries => 1);
ALTER INDEX points_v SET (recall = 0.49);
ALTER INDEX points_v SET (recall = 2);
CREATE INDEX ON points USING kdtree (v) WITH (recall = 'high');
ALTER INDEX points_v RESET (recall);

-- however little a scan is to find: it returns all rows that there are, and what it returns in order is in order
SET kdtree.recall = 0.5;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM points ORDER BY v <-> pg_temp.kd_vector(7, 24) OFFSET 0) all_rows;
SELECT array_agg(id ORDER BY id) FROM
  (SELECT id FROM points WHERE id % 3000 = 17 ORDER BY v <-> pg_temp.kd_vector(7, 24) LIMIT 10) few;
SELECT count(*), bool_and(d >= before) AS ascending FROM (
  SELECT d, lag(d) OVER () AS before FROM (
    SELECT v <-> pg_temp.kd_vector(7, 24) AS d FROM points WHERE id % 10 = 3 ORDER BY v <-> pg_temp.kd_vector(7, 24) LIMIT 100
  ) filtered
) compared;
-- new rows are found whatever the target
INSERT INTO points SELECT 20000 + i, pg_temp.kd_vector(7, 24) FROM generate_series(1, 3) i;
SELECT id FROM points ORDER BY v <-> pg_temp.kd_vector(7, 24), id LIMIT 4;
-- and rows that are gone are not
DELETE FROM points WHERE id > 20000;
VACUUM points;
SELECT id FROM points ORDER BY v <-> pg_temp.kd_vector(7, 24) LIMIT 1;

-- an approximate scan is cheaper
CREATE FUNCTION pg_temp.cost(recall float8) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
BEGIN
    PERFORM set_config('kdtree.recall', recall::text, true);
    EXECUTE 'EXPLAIN (FORMAT json) SELECT id FROM points ORDER BY v <-> (SELECT v FROM points LIMIT 1) LIMIT 10' INTO plan;
    RETURN (plan #>> '{0,Plan,Total Cost}')::float8;
END
$$;
SELECT pg_temp.cost(0.5) < pg_temp.cost(0.9) AS half_is_cheaper, pg_temp.cost(0.9) < pg_temp.cost(1) AS most_is_cheaper;
RESET kdtree.recall;

-- kdtree_recall
SELECT target, measured, mean, minimum, approximate_ms > 0 AS approximate_ms, exact_ms > 0 AS exact_ms, leaves > 0.9 AS leaves, vectors >= 1 AS vectors
  FROM kdtree_recall('points_v');
SELECT target, measured, mean BETWEEN 0.85 AND 0.95 AS mean, minimum < mean AS minimum, leaves > 0 AS leaves, vectors BETWEEN 0.01 AND 0.9 AS vectors
  FROM kdtree_recall('points_v', 10, 200, 0.9);
SELECT few.vectors < many.vectors AS more_for_more FROM kdtree_recall('points_v', 1, 50, 0.9) few, kdtree_recall('points_v', 100, 50, 0.9) many;
SELECT lower.vectors < higher.vectors AS more_for_a_higher_target
  FROM kdtree_recall('points_v', recall => 0.6) lower, kdtree_recall('points_v', recall => 0.99) higher;
SELECT kdtree_recall('points_v', recall => 0.3);
SELECT kdtree_recall('points_v', recall => 'NaN');
SELECT kdtree_recall('points_v', k => 0);
SELECT kdtree_recall('points_v', k => 1001);
SELECT kdtree_recall('points_v', k => NULL);
SELECT kdtree_recall('points_v', queries => -5);
SELECT kdtree_recall('points_v', queries => 10001);
SELECT kdtree_recall('points_v', queries => NULL::int4);
SELECT kdtree_recall(NULL);
SELECT kdtree_recall('points');

-- queries of one's own: rows are their own nearest neighbours
SELECT target, measured, mean BETWEEN 0.8 AND 1 AS mean, minimum <= mean AS minimum, vectors BETWEEN 0.01 AND 0.9 AS vectors
  FROM kdtree_recall('points_v', (SELECT array_agg(v) FROM (SELECT v FROM points ORDER BY id LIMIT 200) asked), recall => 0.9);
SELECT measured, mean, minimum FROM kdtree_recall('points_v', (SELECT array_agg(v) FROM (SELECT v FROM points ORDER BY id LIMIT 20) asked), 1, 1.0);
SELECT kdtree_recall('points_v', '{"[1,2]"}'::vector[]);
SELECT kdtree_recall('points_v', '{}'::vector[]);
SELECT kdtree_recall('points_v', '{NULL}'::vector[]);
SELECT kdtree_recall('points_v', '{{"[1,2]"},{"[1,2]"}}'::vector[]);
SELECT kdtree_recall('points_v', NULL::vector[]);
SELECT kdtree_recall('points', '{"[1,2]"}'::vector[]);

-- other metrics, and indexes that are too small to be approximate, empty, or all in the delta
CREATE INDEX points_cosine ON points USING kdtree (v vector_cosine_ops);
CREATE INDEX points_ip ON points USING kdtree (v vector_ip_ops);
SELECT mean BETWEEN 0.85 AND 0.97 AS mean FROM kdtree_recall('points_cosine', queries => 200, recall => 0.9);
SELECT mean BETWEEN 0.8 AND 1 AS mean FROM kdtree_recall('points_ip', queries => 200, recall => 0.9);
SELECT measured FROM kdtree_recall('points_cosine', ARRAY[(SELECT v FROM points LIMIT 1), (SELECT v - v FROM points LIMIT 1)]);
CREATE TABLE small (v vector(3));
CREATE INDEX small_v ON small USING kdtree (v);
SELECT * FROM kdtree_recall('small_v');
INSERT INTO small SELECT pg_temp.kd_vector(i, 3) FROM generate_series(1, 500) i;
SELECT measured, mean FROM kdtree_recall('small_v', recall => 0.5);
REINDEX INDEX small_v;
SELECT measured, mean, minimum FROM kdtree_recall('small_v', queries => 1000, recall => 0.5);

DROP TABLE points, small;

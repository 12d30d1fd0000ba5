-- CREATE INDEX: what can be indexed, and how indexes are built.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

-- dimensions from the column
CREATE TABLE built (id int, v vector(8));
INSERT INTO built SELECT i, pg_temp.kd_vector(i, 8) FROM generate_series(1, 3000) i;
CREATE INDEX built_v ON built USING kdtree (v vector_l2_ops);
SELECT kind, vectors, dead, dims, metric FROM kdtree_stats('built_v');
SELECT leaves > 1, coarse_bytes > 0, fine_bytes > 0, tid_bytes > 0, directory_bytes > 0, total_bytes >= coarse_bytes + fine_bytes + tid_bytes
  FROM kdtree_stats('built_v') WHERE kind = 'segment';
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]' AS d FROM built ORDER BY 2 LIMIT 10$$);
SELECT pg_temp.kd_compare($$SELECT v <-> '[1,2,3,4,5,6,7,8]' AS d FROM built ORDER BY 1$$);

-- the default operator class is L2
CREATE INDEX built_default ON built USING kdtree (v);
SELECT DISTINCT metric FROM kdtree_stats('built_default');
DROP INDEX built_default;

-- REINDEX, TRUNCATE, a rewrite of the table
REINDEX INDEX built_v;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM built ORDER BY 2 LIMIT 10$$);
REINDEX INDEX CONCURRENTLY built_v;
SELECT * FROM pg_temp.kd_parts('built_v');
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM built ORDER BY 2 LIMIT 10$$);
ALTER TABLE built ADD COLUMN stamp timestamptz DEFAULT clock_timestamp();
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM built ORDER BY 2 LIMIT 10$$);
BEGIN;
TRUNCATE built;
INSERT INTO built(id, v) SELECT i, pg_temp.kd_vector(i, 8) FROM generate_series(1, 20) i;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM built ORDER BY 2$$);
ROLLBACK;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM built ORDER BY 2 LIMIT 10$$);

-- CONCURRENTLY
CREATE INDEX CONCURRENTLY built_concurrently ON built USING kdtree (v vector_cosine_ops);
SELECT indisvalid FROM pg_index WHERE indexrelid = 'built_concurrently'::regclass;
SELECT * FROM pg_temp.kd_parts('built_concurrently');
SELECT pg_temp.kd_compare($$SELECT id, v <=> '[1,2,3,4,5,6,7,8]' AS d FROM built ORDER BY 2 LIMIT 10$$);
DROP INDEX CONCURRENTLY built_concurrently;

-- rows that are dead but visible to somebody are indexed too
BEGIN;
DELETE FROM built WHERE id <= 100;
CREATE INDEX built_after_delete ON built USING kdtree (v);
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM built ORDER BY 2$$);
ROLLBACK;

-- little memory: several segments
SET maintenance_work_mem = '1MB';
CREATE TABLE large (id int, v vector(64));
INSERT INTO large SELECT i, pg_temp.kd_vector(i, 64) FROM generate_series(1, 6000) i;
CREATE INDEX large_v ON large USING kdtree (v);
SELECT * FROM pg_temp.kd_parts('large_v');
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(0, 64)) AS d FROM large ORDER BY 2 LIMIT 100$$);
RESET maintenance_work_mem;

-- threads or not, the answers are the same
SET max_parallel_maintenance_workers = 0;
REINDEX INDEX large_v;
SELECT * FROM pg_temp.kd_parts('large_v');
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(0, 64)) AS d FROM large ORDER BY 2 LIMIT 100$$);
RESET max_parallel_maintenance_workers;

-- empty table, one row, equal rows
CREATE TABLE small (v vector(3));
CREATE INDEX small_v ON small USING kdtree (v);
SELECT pg_temp.kd_compare($$SELECT v, v <-> '[1,2,3]' AS d FROM small ORDER BY 2$$);
INSERT INTO small VALUES ('[1,2,3]');
REINDEX INDEX small_v;
SELECT pg_temp.kd_compare($$SELECT v, v <-> '[1,2,4]' AS d FROM small ORDER BY 2$$);
INSERT INTO small SELECT '[1,2,3]' FROM generate_series(1, 5000);
REINDEX INDEX small_v;
SELECT * FROM pg_temp.kd_parts('small_v');
SELECT pg_temp.kd_compare($$SELECT v, v <-> '[1,2,4]' AS d FROM small ORDER BY 2$$);

-- dimensions from the data
CREATE TABLE untyped (id int, v vector);
CREATE INDEX untyped_v ON untyped USING kdtree (v);
SELECT DISTINCT dims FROM kdtree_stats('untyped_v');
INSERT INTO untyped VALUES (0, NULL);
SELECT DISTINCT dims FROM kdtree_stats('untyped_v');
INSERT INTO untyped SELECT i, pg_temp.kd_vector(i, 5) FROM generate_series(1, 100) i;
SELECT DISTINCT dims FROM kdtree_stats('untyped_v');
INSERT INTO untyped VALUES (101, '[1,2,3]');
REINDEX INDEX untyped_v;
SELECT DISTINCT dims FROM kdtree_stats('untyped_v');
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[1,2,3,4,5]' AS d FROM untyped ORDER BY 2$$);
DROP INDEX untyped_v;
INSERT INTO untyped VALUES (101, '[1,2,3]');
CREATE INDEX untyped_v ON untyped USING kdtree (v);
CREATE INDEX untyped_v ON untyped USING kdtree ((v::vector(3))) WHERE vector_dims(v) = 3;
CREATE INDEX untyped_v5 ON untyped USING kdtree ((v::vector(5))) WHERE vector_dims(v) = 5;
SELECT pg_temp.kd_compare($$SELECT id, v::vector(5) <-> '[1,2,3,4,5]' AS d FROM untyped WHERE vector_dims(v) = 5 ORDER BY 2$$);

-- partial and expression indexes
CREATE TABLE partly (id int, kind text, v vector(4));
INSERT INTO partly SELECT i, (ARRAY['a', 'b', 'c'])[i % 3 + 1], pg_temp.kd_vector(i, 4) FROM generate_series(1, 900) i;
CREATE INDEX partly_a ON partly USING kdtree (v) WHERE kind = 'a';
SELECT * FROM pg_temp.kd_parts('partly_a');
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0]' AS d FROM partly WHERE kind = 'a' ORDER BY 2 LIMIT 7$$);
INSERT INTO partly SELECT i, (ARRAY['a', 'b', 'c'])[i % 3 + 1], pg_temp.kd_vector(i, 4) FROM generate_series(901, 1200) i;
SELECT * FROM pg_temp.kd_parts('partly_a');
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0]' AS d FROM partly WHERE kind = 'a' ORDER BY 2$$);
CREATE INDEX partly_half ON partly USING kdtree (subvector(v, 1, 2) vector_ip_ops);
SELECT DISTINCT dims, metric FROM kdtree_stats('partly_half');
SELECT pg_temp.kd_compare($$SELECT id, subvector(v, 1, 2) <#> '[1,-1]' AS d FROM partly ORDER BY 2 LIMIT 20$$);

-- unlogged and temporary tables
CREATE UNLOGGED TABLE unlogged (id int, v vector(4));
CREATE INDEX unlogged_v ON unlogged USING kdtree (v);
INSERT INTO unlogged SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(1, 500) i;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0]' AS d FROM unlogged ORDER BY 2 LIMIT 7$$);
ALTER TABLE unlogged SET LOGGED;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0]' AS d FROM unlogged ORDER BY 2 LIMIT 7$$);
CREATE TEMP TABLE temporary (id int, v vector(4));
INSERT INTO temporary SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(1, 500) i;
CREATE INDEX temporary_v ON temporary USING kdtree (v);
INSERT INTO temporary SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(501, 600) i;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0]' AS d FROM temporary ORDER BY 2 LIMIT 7$$);

DROP TABLE built, large, small, untyped, partly, unlogged, temporary;

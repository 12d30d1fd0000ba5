-- VACUUM. Temporary tables: what it may remove there does not depend on other sessions.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

CREATE TEMP TABLE cleaned (id int, v vector(8));
INSERT INTO cleaned SELECT i, pg_temp.kd_vector(i, 8) FROM generate_series(1, 3000) i;
INSERT INTO cleaned SELECT i, NULL FROM generate_series(3001, 3010) i;
INSERT INTO cleaned SELECT i, '[3e38,3e38,3e38,3e38,3e38,3e38,3e38,3e38]' FROM generate_series(3011, 3020) i;
CREATE INDEX cleaned_v ON cleaned USING kdtree (v);
INSERT INTO cleaned SELECT i, pg_temp.kd_vector(i, 8) FROM generate_series(4001, 4100) i;
SELECT * FROM pg_temp.kd_parts('cleaned_v');

-- nothing to remove
VACUUM cleaned;
SELECT * FROM pg_temp.kd_parts('cleaned_v');

-- removed rows are marked in every part
DELETE FROM cleaned WHERE id % 3 = 0;
VACUUM cleaned;
SELECT * FROM pg_temp.kd_parts('cleaned_v');
SELECT pg_temp.kd_compare($$SELECT v <-> '[0,0,0,0,0,0,0,0]' AS d FROM cleaned ORDER BY 1$$);
-- their addresses are used again, and no old entry points to the new rows
INSERT INTO cleaned SELECT i, pg_temp.kd_vector(i, 8) FROM generate_series(5001, 6000) i;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM cleaned WHERE v IS NOT NULL AND id NOT BETWEEN 3001 AND 3020 ORDER BY 2$$);
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM cleaned ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 1000000) q;

-- a segment of which more than half is dead is rewritten
DELETE FROM cleaned WHERE id % 3 = 1 AND id < 3000;
VACUUM cleaned;
SELECT * FROM pg_temp.kd_parts('cleaned_v');
SELECT pg_temp.kd_compare($$SELECT v <-> '[0,0,0,0,0,0,0,0]' AS d FROM cleaned ORDER BY 1$$);

-- everything is dead
DELETE FROM cleaned;
VACUUM cleaned;
SELECT * FROM pg_temp.kd_parts('cleaned_v') WHERE kind = 'segment';
SELECT pg_temp.kd_compare($$SELECT v <-> '[0,0,0,0,0,0,0,0]' AS d FROM cleaned ORDER BY 1$$);
INSERT INTO cleaned SELECT i, pg_temp.kd_vector(i, 8) FROM generate_series(1, 50) i;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM cleaned ORDER BY 2$$);

-- updates and VACUUM, again and again, with a small delta: the index does not grow beyond measure
CREATE TEMP TABLE churned (id int, v vector(8));
INSERT INTO churned SELECT i, pg_temp.kd_vector(i, 8) FROM generate_series(1, 1000) i;
CREATE INDEX churned_v ON churned USING kdtree (v) WITH (delta_size = 64);
UPDATE churned SET v = pg_temp.kd_vector(id + 1, 8);
VACUUM churned;
UPDATE churned SET v = pg_temp.kd_vector(id + 2, 8);
VACUUM churned;
UPDATE churned SET v = NULL WHERE id % 2 = 0;
VACUUM churned;
UPDATE churned SET v = pg_temp.kd_vector(id + 3, 8);
VACUUM churned;
SELECT sum(vectors - dead) FROM pg_temp.kd_parts('churned_v');
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM churned ORDER BY 2$$);
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM churned ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 1000000) q;

-- vectors of several pages
CREATE TEMP TABLE huge (id int, v vector(4100));
CREATE INDEX huge_v ON huge USING kdtree (v);
INSERT INTO huge SELECT i, pg_temp.kd_vector(i, 4100) FROM generate_series(1, 12) i;
DELETE FROM huge WHERE id % 2 = 0;
VACUUM huge;
SELECT * FROM pg_temp.kd_parts('huge_v');
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(0, 4100)) AS d FROM huge ORDER BY 2$$);

-- lists of which most is dead are rewritten
CREATE TEMP TABLE nulls (id int, v vector(2));
CREATE INDEX nulls_v ON nulls USING kdtree (v vector_cosine_ops);
INSERT INTO nulls SELECT i, NULL FROM generate_series(1, 9000) i;
INSERT INTO nulls SELECT i, '[0,0]' FROM generate_series(9001, 13000) i;
INSERT INTO nulls SELECT i, '[1e30,1e30]' FROM generate_series(13001, 14400) i;
SELECT kind, vectors, dead, total_bytes / 8192 AS pages FROM kdtree_stats('nulls_v') WHERE vectors > 0;
DELETE FROM nulls WHERE id <= 7000 OR id BETWEEN 9001 AND 12999 OR id BETWEEN 13001 AND 13100;
VACUUM nulls;
SELECT kind, vectors, dead, total_bytes / 8192 AS pages FROM kdtree_stats('nulls_v') WHERE vectors > 0;
INSERT INTO nulls SELECT i, NULL FROM generate_series(15001, 18000) i;
INSERT INTO nulls SELECT i, '[0,0]' FROM generate_series(18001, 18010) i;
SELECT pg_temp.kd_compare($$SELECT v <=> '[1,2]' AS d FROM nulls ORDER BY 1$$);
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM nulls ORDER BY v <=> '[1,2]' LIMIT 1000000) q;

-- VACUUM in other manners
CREATE TABLE ordinary (id int, v vector(8));
INSERT INTO ordinary SELECT i, pg_temp.kd_vector(i, 8) FROM generate_series(1, 500) i;
CREATE INDEX ordinary_v ON ordinary USING kdtree (v);
CREATE INDEX ordinary_w ON ordinary USING kdtree (v vector_cosine_ops);
DELETE FROM ordinary WHERE id <= 100;
VACUUM (PARALLEL 2) ordinary;
VACUUM (INDEX_CLEANUP OFF) ordinary;
VACUUM (ANALYZE, FREEZE) ordinary;
ANALYZE ordinary;
VACUUM FULL ordinary;
SELECT * FROM pg_temp.kd_parts('ordinary_v');
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0,0,0,0,0,0]' AS d FROM ordinary ORDER BY 2$$);
SELECT reltuples FROM pg_class WHERE relname = 'ordinary_v';

DROP TABLE cleaned, churned, nulls, huge, ordinary;

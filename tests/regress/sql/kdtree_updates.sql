-- Updates: HOT chains, which leave the index alone, and what pruning makes of them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

-- Temporary, so that what VACUUM removes does not depend on other sessions. A page has room for a second version of each of its rows.
CREATE TEMP TABLE points (id int, label int, v vector(2)) WITH (fillfactor = 40);
INSERT INTO points SELECT i, 0, ARRAY[i, 0] FROM generate_series(1, 300) i;
CREATE INDEX points_v ON points USING kdtree (v);
CREATE FUNCTION pg_temp.answers() RETURNS text LANGUAGE sql AS
  $$ SELECT pg_temp.kd_compare('SELECT id, label, v <-> ''[0,0]'' AS d FROM points ORDER BY 3') $$;
-- How many rows an UPDATE changes, and how many of them without new entries in indexes.
CREATE FUNCTION pg_temp.updated(query text, OUT rows int8, OUT hot int8) LANGUAGE plpgsql AS $$
DECLARE
  before int8 := pg_stat_get_xact_tuples_hot_updated('points'::regclass);
BEGIN
  EXECUTE query;
  GET DIAGNOSTICS rows = ROW_COUNT;
  hot := pg_stat_get_xact_tuples_hot_updated('points'::regclass) - before;
END
$$;

-- another column: HOT, the index has no new entries
SELECT * FROM pg_temp.updated($$UPDATE points SET label = 1$$);
SELECT * FROM pg_temp.kd_parts('points_v');
SELECT pg_temp.answers();
-- again, so that pages are pruned, and chains of several versions
UPDATE points SET label = 2;
UPDATE points SET label = 3;
UPDATE points SET label = 4 WHERE id % 2 = 0;
SELECT pg_temp.answers();
VACUUM points;
SELECT pg_temp.answers();

-- the vector: not HOT, one new entry each, even if the vector is the same in all but its last bit
SELECT * FROM pg_temp.updated($$UPDATE points SET v = ARRAY[id, 1e-40] WHERE id <= 50$$);
SELECT * FROM pg_temp.kd_parts('points_v');
SELECT pg_temp.answers();
-- the same vector to the last bit: HOT
SELECT * FROM pg_temp.updated($$UPDATE points SET v = v WHERE id <= 50$$);
SELECT pg_temp.answers();
-- minus zero is equal to zero, and yet another value
SELECT * FROM pg_temp.updated($$UPDATE points SET v = ARRAY[id, '-0'::real] WHERE id BETWEEN 51 AND 60$$);
SELECT pg_temp.answers();

-- vectors change over from row to row, and back
UPDATE points p SET v = q.v FROM points q WHERE q.id = 301 - p.id;
SELECT pg_temp.answers();
UPDATE points p SET v = q.v FROM points q WHERE q.id = 301 - p.id;
SELECT pg_temp.answers();
VACUUM (INDEX_CLEANUP ON) points;
SELECT pg_temp.answers();
SELECT sum(vectors - dead) FROM kdtree_stats('points_v');

-- to NULL and back, in one transaction, and rolled back in parts
BEGIN;
UPDATE points SET v = NULL WHERE id <= 100;
SAVEPOINT s;
UPDATE points SET v = ARRAY[id, 0] WHERE id <= 100;
SELECT pg_temp.answers();
ROLLBACK TO s;
UPDATE points SET v = ARRAY[-id, 0] WHERE id <= 30;
SELECT pg_temp.answers();
COMMIT;
SELECT pg_temp.answers();
VACUUM (INDEX_CLEANUP ON) points;
SELECT * FROM pg_temp.kd_parts('points_v') WHERE kind = 'null';
SELECT pg_temp.answers();

-- INSERT ... ON CONFLICT and MERGE
CREATE UNIQUE INDEX points_id ON points (id);
INSERT INTO points VALUES (1, 9, '[0.5,0]'), (1001, 9, '[0.25,0]') ON CONFLICT (id) DO UPDATE SET v = excluded.v;
INSERT INTO points VALUES (1, 9, '[0,0]'), (1002, 9, '[0.125,0]') ON CONFLICT DO NOTHING;
MERGE INTO points p USING (VALUES (2, vector '[0.0625,0]'), (3, NULL), (1003, '[0.03,0]')) n(id, v) ON p.id = n.id
  WHEN MATCHED AND n.v IS NULL THEN DELETE
  WHEN MATCHED THEN UPDATE SET v = n.v
  WHEN NOT MATCHED THEN INSERT VALUES (n.id, 9, n.v);
SELECT id, v FROM points WHERE v IS NOT NULL ORDER BY v <-> '[0,0]' LIMIT 6;
SELECT pg_temp.answers();
-- of a row that violates another constraint, nothing remains to be found
ALTER TABLE points ADD CHECK (label < 100);
INSERT INTO points VALUES (2001, 100, '[0,0]');
INSERT INTO points VALUES (1, 0, '[0,0]');
SELECT id FROM points WHERE v IS NOT NULL ORDER BY v <-> '[0,0]' LIMIT 1;
SELECT pg_temp.answers();

DROP TABLE points;

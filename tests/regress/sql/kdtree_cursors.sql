-- Cursors over an index scan: backwards, by position, held after the transaction, for updates.
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
INSERT INTO points SELECT i, i % 3, ARRAY[i, 0] FROM generate_series(1, 600) i;
CREATE INDEX points_v ON points USING kdtree (v);
INSERT INTO points SELECT i, i % 3, ARRAY[0, i] FROM generate_series(601, 620) i;
INSERT INTO points SELECT i, i % 3, NULL FROM generate_series(621, 623) i;
ANALYZE points;
SET enable_seqscan = off;
SET enable_sort = off;

-- in every direction, and by position
BEGIN;
DECLARE near SCROLL CURSOR FOR SELECT id FROM points ORDER BY v <-> '[0,0]';
FETCH 3 FROM near;
FETCH BACKWARD 2 FROM near;
FETCH PRIOR FROM near;
FETCH NEXT FROM near;
FETCH RELATIVE 599 FROM near;
FETCH RELATIVE -2 FROM near;
FETCH RELATIVE 0 FROM near;
FETCH ABSOLUTE 610 FROM near;
FETCH ABSOLUTE -1 FROM near;
FETCH ABSOLUTE -4 FROM near;
FETCH LAST FROM near;
FETCH NEXT FROM near;
FETCH FIRST FROM near;
MOVE FORWARD 299 FROM near;
FETCH 1 FROM near;
MOVE BACKWARD ALL FROM near;
FETCH 2 FROM near;
MOVE ABSOLUTE 500 FROM near;
FETCH BACKWARD 2 FROM near;
MOVE FORWARD ALL FROM near;
FETCH BACKWARD 4 FROM near;
COMMIT;

-- the index cannot be read backwards, so a cursor that was not declared SCROLL cannot
BEGIN;
DECLARE near CURSOR FOR SELECT id FROM points ORDER BY v <-> '[0,0]';
MOVE 2 FROM near;
FETCH BACKWARD 1 FROM near;
\echo :SQLSTATE
ROLLBACK;
BEGIN;
DECLARE near NO SCROLL CURSOR FOR SELECT id FROM points ORDER BY v <-> '[0,0]';
FETCH 1 FROM near;
FETCH FIRST FROM near;
\echo :SQLSTATE
ROLLBACK;

-- held: the rows of its snapshot, whatever becomes of them and of the index
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT id, label FROM points WHERE label > 0 ORDER BY v <-> '[0,0]';
DECLARE scrolled SCROLL CURSOR WITH HOLD FOR SELECT id FROM points ORDER BY v <-> '[10,0]', id LIMIT 10;
DECLARE dropped CURSOR FOR SELECT id FROM points ORDER BY v <-> '[0,0]';
FETCH 2 FROM held;
COMMIT;
FETCH 1 FROM dropped;
DELETE FROM points WHERE id BETWEEN 2 AND 300;
VACUUM points;
INSERT INTO points SELECT i, 7, ARRAY[i, 0] FROM generate_series(2, 300) i;
FETCH 2 FROM held;
DROP INDEX points_v;
FETCH 2 FROM held;
FETCH ALL FROM scrolled;
FETCH BACKWARD 2 FROM scrolled;
MOVE FORWARD ALL FROM held;
CLOSE ALL;
CREATE INDEX points_v ON points USING kdtree (v) WITH (delta_size = 64);

-- a held cursor of a transaction that is rolled back is gone
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM points ORDER BY v <-> '[0,0]';
ROLLBACK;
FETCH 1 FROM held;

-- changing the rows under a cursor
BEGIN;
DECLARE near CURSOR FOR SELECT id FROM points ORDER BY v <-> '[0,0]' FOR UPDATE;
FETCH 2 FROM near;
UPDATE points SET v = '[1000,0]' WHERE CURRENT OF near;
FETCH 1 FROM near;
DELETE FROM points WHERE CURRENT OF near;
FETCH 1 FROM near;
COMMIT;
SELECT id FROM points WHERE v IS NOT NULL ORDER BY v <-> '[0,0]' LIMIT 3;
SELECT id FROM points WHERE v IS NOT NULL ORDER BY v <-> '[1001,0]' LIMIT 1;

-- a savepoint that is rolled back: the cursor goes on where it was
BEGIN;
DECLARE near CURSOR FOR SELECT id FROM points ORDER BY v <-> '[0,0]';
FETCH 1 FROM near;
SAVEPOINT s;
FETCH 1 FROM near;
INSERT INTO points SELECT 1000 + i, 0, '[0,0]' FROM generate_series(1, 4000) i;
ROLLBACK TO s;
FETCH 2 FROM near;
SAVEPOINT s;
DECLARE inner_one CURSOR FOR SELECT id FROM points ORDER BY v <-> '[600,0]';
FETCH 1 FROM inner_one;
SELECT 1 / 0;
ROLLBACK TO s;
FETCH 1 FROM near;
FETCH 1 FROM inner_one;
ROLLBACK;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0]' AS d FROM points ORDER BY 2$$);

-- loops of PL/pgSQL are cursors
CREATE FUNCTION pg_temp.visit(wanted int) RETURNS SETOF int LANGUAGE plpgsql AS $$
DECLARE
  point record;
BEGIN
  FOR point IN SELECT id, v FROM points WHERE v IS NOT NULL ORDER BY v <-> '[0,0]' LOOP
    RETURN NEXT (SELECT id FROM points ORDER BY points.v <-> point.v OFFSET 1 LIMIT 1);
    EXIT WHEN point.id >= wanted;
  END LOOP;
END
$$;
SELECT * FROM pg_temp.visit(6);

DROP TABLE points;

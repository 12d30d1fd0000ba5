-- INSERT, UPDATE and DELETE: the delta, sealing and merging.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE written (id int, v vector(16));
CREATE INDEX written_v ON written USING kdtree (v) WITH (delta_size = 64);
SELECT * FROM pg_temp.kd_parts('written_v');
INSERT INTO written VALUES (1, pg_temp.kd_vector(1, 16)), (2, NULL);
SELECT * FROM pg_temp.kd_parts('written_v');
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(0, 16)) AS d FROM written ORDER BY 2$$);

-- more than fits into the delta is sealed: 112 vectors a page, 9 pages
INSERT INTO written SELECT i, pg_temp.kd_vector(i, 16) FROM generate_series(3, 1000) i;
SELECT * FROM pg_temp.kd_parts('written_v');
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(0, 16)) AS d FROM written ORDER BY 2 LIMIT 20$$);
INSERT INTO written SELECT i, pg_temp.kd_vector(i, 16) FROM generate_series(1001, 8000) i;
SELECT * FROM pg_temp.kd_parts('written_v');
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(0, 16)) AS d FROM written ORDER BY 2$$);
-- VACUUM merges eight segments of similar size, an insert does if there are more than 32
INSERT INTO written SELECT i, pg_temp.kd_vector(i, 16) FROM generate_series(8001, 10000) i;
VACUUM written;
SELECT sum(vectors) AS vectors, count(*) < 8 AS merged FROM kdtree_stats('written_v') WHERE kind IN ('segment', 'delta');
INSERT INTO written SELECT i, pg_temp.kd_vector(i, 16) FROM generate_series(100001, 140000) i;
SELECT sum(vectors) AS vectors, count(*) BETWEEN 2 AND 34 AS merged FROM kdtree_stats('written_v') WHERE kind IN ('segment', 'delta');
DELETE FROM written WHERE id > 100000;
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(0, 16)) AS d FROM written ORDER BY 2 LIMIT 500$$);

-- updates and deletes
UPDATE written SET v = pg_temp.kd_vector(-id, 16) WHERE id % 7 = 0;
DELETE FROM written WHERE id % 5 = 0;
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(0, 16)) AS d FROM written ORDER BY 2$$);
UPDATE written SET v = NULL WHERE id % 11 = 0;
UPDATE written SET v = pg_temp.kd_vector(id, 16) WHERE id % 22 = 0;
SELECT pg_temp.kd_compare($$SELECT v <-> (SELECT pg_temp.kd_vector(0, 16)) AS d FROM written ORDER BY 1$$);

-- rollback, savepoints, an error in between
BEGIN;
INSERT INTO written SELECT i, pg_temp.kd_vector(i, 16) FROM generate_series(20001, 23000) i;
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(20500, 16)) AS d FROM written ORDER BY 2 LIMIT 50$$);
ROLLBACK;
BEGIN;
INSERT INTO written VALUES (30001, pg_temp.kd_vector(30001, 16));
SAVEPOINT a;
INSERT INTO written VALUES (30002, pg_temp.kd_vector(30002, 16));
ROLLBACK TO a;
INSERT INTO written VALUES (30003, pg_temp.kd_vector(30003, 16));
COMMIT;
SELECT id FROM written WHERE id > 20000 ORDER BY id;
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(30002, 16)) AS d FROM written WHERE id > 20000 ORDER BY 2$$);

-- COPY, INSERT ... SELECT from itself, ON CONFLICT with another index
CREATE TABLE copied (id int PRIMARY KEY, v vector(3));
CREATE INDEX copied_v ON copied USING kdtree (v vector_cosine_ops);
COPY copied FROM stdin;
1	[1,2,3]
2	\N
3	[0,0,0]
4	[3,2,1]
\.
INSERT INTO copied SELECT id + 4, v FROM copied;
INSERT INTO copied VALUES (1, '[7,7,7]'), (9, '[1,0,0]') ON CONFLICT (id) DO UPDATE SET v = excluded.v;
SELECT * FROM pg_temp.kd_parts('copied_v');
SELECT pg_temp.kd_compare($$SELECT v <=> '[1,2,3]' AS d FROM copied ORDER BY 1$$);

-- vectors larger than a page: several pages for an item
CREATE TABLE huge (id int, v vector);
CREATE INDEX huge_v ON huge USING kdtree (v) WITH (delta_size = 256);
INSERT INTO huge SELECT i, pg_temp.kd_vector(i, 2100) FROM generate_series(1, 10) i;
SELECT kind, vectors, total_bytes, dims FROM kdtree_stats('huge_v') WHERE vectors > 0;
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(0, 2100)) AS d FROM huge ORDER BY 2$$);
INSERT INTO huge SELECT i, pg_temp.kd_vector(i, 2100) FROM generate_series(11, 40) i;
SELECT * FROM pg_temp.kd_parts('huge_v');
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(0, 2100)) AS d FROM huge ORDER BY 2$$);

DROP TABLE written, copied, huge;

-- a file that is truncated in place and filled again: what the session remembers of the old index does not fit the new one
SET kdtree.delta_size = 64;
CREATE TEMP TABLE emptied (id int, v vector(3)) ON COMMIT DELETE ROWS;
CREATE INDEX emptied_v ON emptied USING kdtree (v);
BEGIN;
INSERT INTO emptied SELECT i, pg_temp.kd_vector(i, 3) FROM generate_series(1, 6000) i;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0.5,0.5,0.5]' AS d FROM emptied ORDER BY 2 LIMIT 10$$);
COMMIT;
BEGIN;
INSERT INTO emptied SELECT i, pg_temp.kd_vector(i, 3) * '[1,10,1]' FROM generate_series(1, 6000) i;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0.5,5,0.5]' AS d FROM emptied ORDER BY 2 LIMIT 10$$);
COMMIT;
RESET kdtree.delta_size;

-- one statement that replaces more chains than can wait for its own snapshot: the delta grows with their number, and is sealed all
-- the same
CREATE TABLE waiting (v vector(16));
CREATE INDEX waiting_v ON waiting USING kdtree (v) WITH (delta_size = 64);
CREATE TEMP TABLE seeds AS SELECT pg_temp.kd_vector(i, 16) AS v FROM generate_series(1, 500) i;
INSERT INTO waiting SELECT v FROM seeds, generate_series(1, 400);
SELECT vectors < 50000 AS sealed FROM kdtree_stats('waiting_v') WHERE kind = 'delta';
SELECT pg_temp.kd_compare($$SELECT v <-> (SELECT pg_temp.kd_vector(0, 16)) AS d FROM waiting ORDER BY 1 LIMIT 1000$$);
-- and is back to its ordinary size once no snapshot needs what was replaced
DO $$
BEGIN
  FOR attempt IN 1..300 LOOP
    INSERT INTO waiting SELECT v FROM seeds LIMIT 1;
    COMMIT;
    EXIT WHEN (SELECT vectors < 2000 FROM kdtree_stats('waiting_v') WHERE kind = 'delta');
    PERFORM pg_sleep(0.1);
  END LOOP;
END
$$;
SELECT vectors < 2000 AS sealed FROM kdtree_stats('waiting_v') WHERE kind = 'delta';
DROP TABLE waiting;

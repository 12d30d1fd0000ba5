-- kdtree_check: nothing to say of a sound index; rows for what does not fit the table; errors for what is no index.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

-- sound indexes of every kind
CREATE TABLE items (id int PRIMARY KEY, v vector(4), w vector) WITH (autovacuum_enabled = off);
CREATE INDEX items_v ON items USING kdtree (v) WITH (delta_size = 64);
CREATE INDEX items_cosine ON items USING kdtree (v vector_cosine_ops) WITH (leaf_size = 20);
CREATE INDEX items_ip ON items USING kdtree (v vector_ip_ops);
CREATE INDEX items_w ON items USING kdtree (w);
CREATE INDEX items_half ON items USING kdtree ((subvector(v, 1, 2)::vector(2))) WHERE id % 2 = 0;
CREATE FUNCTION pg_temp.check_all(OUT checked bigint, OUT problems bigint, OUT first text) LANGUAGE sql AS $$
  SELECT count(DISTINCT indexrelid), count(problem), min(format('%s, %s: %s', indexrelid::regclass, block, problem)) FILTER (WHERE problem IS NOT NULL)
  FROM pg_index LEFT JOIN LATERAL kdtree_check(indexrelid, true) ON true
  WHERE indrelid = 'items'::regclass AND NOT indisprimary
$$;
SELECT * FROM pg_temp.check_all();
INSERT INTO items SELECT i, pg_temp.kd_vector(i, 4), pg_temp.kd_vector(i, 40) FROM generate_series(1, 1500) i;
INSERT INTO items SELECT i, NULL, NULL FROM generate_series(1501, 1520) i;
INSERT INTO items SELECT i, '[0,0,0,0]', NULL FROM generate_series(1521, 1540) i;
INSERT INTO items SELECT i, '[3e38,3e38,-3e38,1]', array_fill(1e30, ARRAY[40])::vector FROM generate_series(1541, 1560) i;
SELECT * FROM pg_temp.check_all();
UPDATE items SET v = pg_temp.kd_vector(-id, 4) WHERE id % 3 = 0;
DELETE FROM items WHERE id % 5 = 0;
SELECT * FROM pg_temp.check_all();
VACUUM (INDEX_CLEANUP ON) items;
SELECT * FROM pg_temp.check_all();
INSERT INTO items SELECT i, pg_temp.kd_vector(i, 4), pg_temp.kd_vector(i, 40) FROM generate_series(2001, 2500) i;
SELECT count(kdtree_merge(indexrelid)) FROM pg_index WHERE indrelid = 'items'::regclass AND NOT indisprimary;
SELECT * FROM pg_temp.check_all();
-- in the middle of a transaction, with rows of its own, in a subtransaction, with some undone
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO items SELECT i, pg_temp.kd_vector(i, 4), pg_temp.kd_vector(i, 40) FROM generate_series(3001, 3200) i;
SAVEPOINT s;
DELETE FROM items WHERE id > 3100;
UPDATE items SET v = NULL WHERE id % 7 = 0;
SELECT * FROM pg_temp.check_all();
ROLLBACK TO s;
SELECT * FROM pg_temp.check_all();
ROLLBACK;
SELECT * FROM pg_temp.check_all();
-- with so little memory that the table is compared in parts
SET maintenance_work_mem = '1MB';
SELECT * FROM pg_temp.check_all();
RESET maintenance_work_mem;
-- without the table
SELECT count(*) FROM pg_index, kdtree_check(indexrelid) WHERE indrelid = 'items'::regclass AND NOT indisprimary;
DROP TABLE items;

-- an index on something that is not what it was: the function of an expression, or of a condition
CREATE TABLE items (id int, v vector(2)) WITH (autovacuum_enabled = off);
CREATE FUNCTION pg_temp.moved(v vector) RETURNS vector(2) LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN v; END $$;
CREATE FUNCTION pg_temp.chosen(id int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN id % 2 = 0; END $$;
INSERT INTO items SELECT i, ARRAY[i, i] FROM generate_series(1, 20) i;
CREATE INDEX items_moved ON items USING kdtree ((pg_temp.moved(v)::vector(2)));
CREATE INDEX items_chosen ON items USING kdtree (v) WHERE pg_temp.chosen(id);
INSERT INTO items SELECT i, ARRAY[i, i] FROM generate_series(21, 30) i;
INSERT INTO items VALUES (31, NULL);
SELECT * FROM kdtree_check('items_moved', true);
SELECT * FROM kdtree_check('items_chosen', true);
CREATE OR REPLACE FUNCTION pg_temp.moved(v vector) RETURNS vector(2) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN CASE WHEN v = '[2,2]' THEN '[2,-2]' WHEN v = '[3,3]' THEN NULL WHEN v = '[4,4]' THEN '[1e30,0]'
    WHEN v = '[22,22]' THEN '[22,23]' WHEN v = '[23,23]' THEN NULL WHEN v IS NULL THEN '[0,0]' ELSE v END;
END
$$;
CREATE OR REPLACE FUNCTION pg_temp.chosen(id int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN id IN (2, 5, 24, 25); END $$;
SELECT * FROM kdtree_check('items_moved');
SELECT * FROM kdtree_check('items_moved', true);
SELECT * FROM kdtree_check('items_chosen', true);
-- a function that fails
CREATE OR REPLACE FUNCTION pg_temp.moved(v vector) RETURNS vector(2) LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN RAISE EXCEPTION 'not this one: %', v; END $$;
\set SHOW_CONTEXT never
SELECT * FROM kdtree_check('items_moved', true);
SELECT * FROM kdtree_check('items_moved', false);
REINDEX INDEX items_chosen;
SELECT * FROM kdtree_check('items_chosen', true);
DROP TABLE items;

-- an index that is not valid can be checked, but not compared
CREATE TABLE items (id int, v vector(2));
INSERT INTO items VALUES (1, '[1,2]'), (1, '[3,4]');
CREATE INDEX items_v ON items USING kdtree (v);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'items_v'::regclass;
SELECT * FROM kdtree_check('items_v');
SELECT * FROM kdtree_check('items_v', true);
\echo :SQLSTATE
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'items_v'::regclass;
SELECT * FROM kdtree_check('items_v', true);
-- nor one that is newer than the snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM items;
UPDATE pg_index SET indcheckxmin = true WHERE indexrelid = 'items_v'::regclass;
SELECT * FROM kdtree_check('items_v', true);
\echo :SQLSTATE
ROLLBACK;
DROP TABLE items;

-- what is refused
CREATE TABLE items (id int PRIMARY KEY, v vector(2)) PARTITION BY RANGE (id);
CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM (0) TO (1000);
CREATE INDEX items_v ON items USING kdtree (v);
SELECT * FROM kdtree_check('items_1_v_idx', true);
SELECT * FROM kdtree_check('items_v');
\echo :SQLSTATE
SELECT * FROM kdtree_check('items_1_pkey', true);
\echo :SQLSTATE
SELECT * FROM kdtree_check('items_1', true);
\echo :SQLSTATE
SELECT * FROM kdtree_check('pg_class');
SELECT * FROM kdtree_check(0, true);
\echo :SQLSTATE
SELECT * FROM kdtree_check(NULL, true);
SELECT * FROM kdtree_check('items_1_v_idx', NULL);
DROP TABLE items;

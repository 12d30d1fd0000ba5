-- Tables that are rewritten, put together and taken apart: CLUSTER, VACUUM FULL, ALTER TABLE, partitions, inheritance.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

CREATE FUNCTION pg_temp.answers(tablename text) RETURNS text LANGUAGE sql AS
  $$ SELECT pg_temp.kd_compare(format('SELECT id, v <-> ''[.1,.2,.3,.4]'' AS d FROM %s ORDER BY 2', tablename)) $$;

-- rewrites
CREATE TABLE items (id int, other int, v vector(4)) WITH (autovacuum_enabled = off);
INSERT INTO items SELECT i, -i, pg_temp.kd_vector(i, 4) FROM generate_series(1, 1000) i;
INSERT INTO items SELECT i, -i, NULL FROM generate_series(1001, 1003) i;
CREATE INDEX items_v ON items USING kdtree (v) WITH (delta_size = 64);
CREATE INDEX items_half ON items USING kdtree ((subvector(v, 1, 2)::vector(2))) WHERE id % 2 = 0;
CREATE INDEX items_other ON items (other);
INSERT INTO items SELECT i, -i, pg_temp.kd_vector(i, 4) FROM generate_series(1004, 1500) i;
DELETE FROM items WHERE id % 7 = 0;
SELECT pg_temp.answers('items');
CLUSTER items USING items_other;
SELECT * FROM pg_temp.kd_parts('items_v');
SELECT pg_temp.answers('items');
VACUUM FULL items;
SELECT pg_temp.answers('items');
ALTER TABLE items ALTER COLUMN other TYPE bigint;
SELECT pg_temp.answers('items');
ALTER TABLE items ADD COLUMN stamp timestamptz DEFAULT clock_timestamp();
SELECT pg_temp.answers('items');
ALTER TABLE items DROP COLUMN stamp;
ALTER TABLE items SET UNLOGGED;
SELECT pg_temp.answers('items');
ALTER TABLE items SET LOGGED;
SELECT pg_temp.answers('items');
ALTER TABLE items SET TABLESPACE pg_default;
REINDEX TABLE items;
REINDEX (VERBOSE FALSE) INDEX items_v;
REINDEX TABLE CONCURRENTLY items;
SELECT pg_temp.answers('items');
SELECT pg_temp.kd_compare('SELECT id, subvector(v, 1, 2)::vector(2) <-> ''[.1,.2]'' AS d FROM items WHERE id % 2 = 0 ORDER BY 2');
SELECT indexrelid::regclass::text COLLATE "C" AS index, indisvalid FROM pg_index WHERE indrelid = 'items'::regclass ORDER BY 1;
SELECT reloptions FROM pg_class WHERE relname = 'items_v';
-- the column's type: other dimensions, and none
ALTER TABLE items ALTER COLUMN v TYPE vector(5) USING v || '[0]';
SELECT pg_temp.kd_compare('SELECT id, subvector(v, 1, 2)::vector(2) <-> ''[.1,.2]'' AS d FROM items WHERE id % 2 = 0 ORDER BY 2');
SELECT DISTINCT dims FROM kdtree_stats('items_v');
SELECT pg_temp.kd_compare('SELECT id, v <-> ''[.1,.2,.3,.4,.5]'' AS d FROM items ORDER BY 2');
ALTER TABLE items ALTER COLUMN v TYPE vector;
INSERT INTO items(v) VALUES ('[1,2]');
ALTER TABLE items ALTER COLUMN v TYPE vector(4) USING subvector(v, 1, 4);
SELECT pg_temp.answers('items');
DROP INDEX items_half;
ALTER TABLE items ALTER COLUMN v TYPE real[];
ALTER TABLE items DROP COLUMN v;
SELECT to_regclass('items_v');
DROP TABLE items;

-- rewritten in a transaction that is rolled back, or goes on
CREATE TABLE items (id int, v vector(4)) WITH (autovacuum_enabled = off);
CREATE INDEX items_v ON items USING kdtree (v) WITH (delta_size = 64);
INSERT INTO items SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(1, 500) i;
BEGIN;
TRUNCATE items;
INSERT INTO items SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(1, 2500) i;
SELECT pg_temp.answers('items');
REINDEX INDEX items_v;
ROLLBACK;
SELECT pg_temp.answers('items');
BEGIN;
SAVEPOINT s;
TRUNCATE items;
INSERT INTO items SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(1, 2500) i;
SAVEPOINT t;
DROP INDEX items_v;
ROLLBACK TO t;
SELECT pg_temp.answers('items');
ROLLBACK TO s;
SELECT pg_temp.answers('items');
DELETE FROM items WHERE id < 100;
COMMIT;
SELECT pg_temp.answers('items');
DROP TABLE items;

-- partitions: an index that is there is taken over, a missing one is built
CREATE TABLE parted (id int, v vector(4)) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);
CREATE INDEX parted_v ON parted USING kdtree (v) WITH (delta_size = 64);
CREATE TABLE with_index (v vector(4), id int);
CREATE INDEX with_index_v ON with_index USING kdtree (v);
CREATE TABLE without_index (id int, v vector(4));
CREATE TABLE other_class (id int, v vector(4));
CREATE INDEX other_class_v ON other_class USING kdtree (v vector_cosine_ops);
INSERT INTO with_index SELECT pg_temp.kd_vector(i, 4), i FROM generate_series(1000, 1400) i;
INSERT INTO without_index SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(2000, 2400) i;
INSERT INTO other_class SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(3000, 3400) i;
INSERT INTO parted SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(0, 400) i;
ALTER TABLE parted ATTACH PARTITION with_index FOR VALUES FROM (1000) TO (2000);
ALTER TABLE parted ATTACH PARTITION without_index FOR VALUES FROM (2000) TO (3000);
ALTER TABLE parted ATTACH PARTITION other_class FOR VALUES FROM (3000) TO (4000);
CREATE TABLE parted_default PARTITION OF parted DEFAULT PARTITION BY LIST (id);
CREATE TABLE parted_5000 PARTITION OF parted_default FOR VALUES IN (5000, 5001);
INSERT INTO parted SELECT i, NULL FROM unnest('{1, 1001, 5000, 5001}'::int[]) i;
UPDATE parted SET v = '[0,0,0,0]' WHERE id = 5001;
SELECT c.relid::regclass::text COLLATE "C" AS index, am.amname, i.indrelid::regclass FROM pg_partition_tree('parted_v') c
  JOIN pg_index i ON i.indexrelid = c.relid JOIN pg_class k ON k.oid = c.relid JOIN pg_am am ON am.oid = k.relam ORDER BY 1;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM parted ORDER BY v <-> '[0,0,0,0]' LIMIT 3;
RESET enable_seqscan;
SELECT pg_temp.answers('parted');
SELECT pg_temp.kd_compare('SELECT id, v <-> ''[.1,.2,.3,.4]'' AS d FROM parted WHERE id < 1500 AND v IS NOT NULL ORDER BY 2 LIMIT 30');
SELECT pg_temp.kd_compare('SELECT id, v <=> ''[.1,.2,.3,.4]'' AS d FROM other_class ORDER BY 2');
-- rows move from partition to partition
UPDATE parted SET id = id + 1000 WHERE id % 50 = 3 AND id < 3000;
SELECT pg_temp.answers('parted');
ALTER TABLE parted DETACH PARTITION with_index;
SELECT pg_temp.answers('parted');
SELECT pg_temp.answers('with_index');
DROP INDEX parted_v;
SELECT to_regclass('without_index_v_idx'), to_regclass('with_index_v');
-- built on the parent alone, and completed by attaching
CREATE INDEX parted_v ON ONLY parted USING kdtree (v);
SELECT indisvalid FROM pg_index WHERE indexrelid = 'parted_v'::regclass;
CREATE INDEX CONCURRENTLY parted_1_v ON parted_1 USING kdtree (v);
ALTER INDEX parted_v ATTACH PARTITION parted_1_v;
ALTER INDEX parted_v ATTACH PARTITION other_class_v;
DROP TABLE parted_default;
ALTER TABLE parted DETACH PARTITION other_class CONCURRENTLY;
CREATE INDEX without_index_v ON without_index USING kdtree (v);
ALTER INDEX parted_v ATTACH PARTITION without_index_v;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'parted_v'::regclass;
SELECT pg_temp.answers('parted');
DROP TABLE parted, with_index, other_class;

-- inheritance: an index of each table, and conditions that exclude some of them
CREATE TABLE base (id int, v vector(4));
CREATE TABLE derived (extra text, CHECK (id >= 1000)) INHERITS (base);
CREATE TABLE twice (more int, CHECK (id >= 2000)) INHERITS (derived);
INSERT INTO base SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(1, 300) i;
INSERT INTO derived SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(1001, 1300) i;
INSERT INTO twice SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(2001, 2300) i;
CREATE INDEX base_v ON base USING kdtree (v);
CREATE INDEX derived_v ON derived USING kdtree (v);
CREATE INDEX twice_v ON twice USING kdtree (v);
SET constraint_exclusion = on;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM base ORDER BY v <-> '[0,0,0,0]' LIMIT 3;
EXPLAIN (COSTS OFF) SELECT id FROM base WHERE id < 2000 ORDER BY v <-> '[0,0,0,0]' LIMIT 3;
RESET enable_seqscan;
SELECT pg_temp.answers('base');
SELECT pg_temp.answers('ONLY base');
SELECT pg_temp.answers('derived WHERE id < 2000');
ALTER TABLE twice NO INHERIT derived;
SELECT pg_temp.answers('base');
SELECT pg_temp.answers('twice');
DROP TABLE base, derived, twice;

-- what else refers to a table with the index
CREATE TABLE items (id int, v vector(4), twice vector(4) GENERATED ALWAYS AS (v + v) STORED);
CREATE INDEX items_twice ON items USING kdtree (twice);
INSERT INTO items SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(1, 200) i;
UPDATE items SET v = '[0,0,0,0]' WHERE id = 7;
SELECT id FROM items ORDER BY twice <-> '[0,0,0,0]' LIMIT 1;
SELECT pg_temp.kd_compare('SELECT id, twice <-> ''[.1,.2,.3,.4]'' AS d FROM items ORDER BY 2');
CREATE VIEW shown AS SELECT id, v, twice FROM items WHERE id % 2 = 0;
SELECT pg_temp.kd_compare('SELECT id, twice <-> ''[.1,.2,.3,.4]'' AS d FROM shown ORDER BY 2 LIMIT 9');
CREATE MATERIALIZED VIEW kept AS SELECT id, v FROM items;
CREATE INDEX kept_v ON kept USING kdtree (v);
CREATE UNIQUE INDEX kept_id ON kept (id);
SELECT pg_temp.answers('kept');
DELETE FROM items WHERE id > 150;
REFRESH MATERIALIZED VIEW kept;
SELECT pg_temp.answers('kept');
UPDATE items SET v = '[1,1,1,1]' WHERE id < 50;
REFRESH MATERIALIZED VIEW CONCURRENTLY kept;
SELECT pg_temp.answers('kept');
DROP MATERIALIZED VIEW kept;
DROP VIEW shown;
DROP TABLE items;

-- kdtree_merge: the delta and all segments become one.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

-- Temporary tables: what can be freed there does not depend on other sessions.
CREATE TEMP TABLE items (id int, v vector(16));
CREATE INDEX items_v ON items USING kdtree (v) WITH (delta_size = 64);
CREATE FUNCTION pg_temp.answers() RETURNS text LANGUAGE sql AS
  $$ SELECT pg_temp.kd_compare('SELECT id, v <-> (SELECT v FROM items WHERE id = 7) AS d FROM items ORDER BY 2') $$;
CREATE FUNCTION pg_temp.add(first int, last int) RETURNS void LANGUAGE sql AS
  $$ INSERT INTO items SELECT i, pg_temp.kd_vector(i, 16) FROM generate_series(first, last) i $$;

-- nothing to merge
SELECT kdtree_merge('items_v');
SELECT * FROM pg_temp.kd_parts('items_v');
-- a delta alone
SELECT pg_temp.add(1, 50);
SELECT * FROM pg_temp.kd_parts('items_v');
SELECT kdtree_merge('items_v');
SELECT * FROM pg_temp.kd_parts('items_v');
SELECT pg_temp.answers();
-- again, when there is nothing to do: the segment stays as it is
SELECT pg_relation_size('items_v') AS size \gset
SELECT kdtree_merge('items_v');
SELECT pg_relation_size('items_v') = :size AS same_size;
-- segments and a delta
SELECT count(pg_temp.add(i * 700 + 51, i * 700 + 750)) FROM generate_series(0, 4) i;
SELECT count(*) > 1 AS many FROM kdtree_stats('items_v') WHERE kind = 'segment';
SELECT kdtree_merge('items_v');
SELECT * FROM pg_temp.kd_parts('items_v');
SELECT pg_temp.answers();
-- removed rows leave the index for good
DELETE FROM items WHERE id % 2 = 0;
VACUUM (INDEX_CLEANUP ON) items;
SELECT kdtree_merge('items_v');
SELECT * FROM pg_temp.kd_parts('items_v');
SELECT pg_temp.answers();
-- rows that are deleted but not yet removed stay for those who may see them
DELETE FROM items WHERE id % 3 = 0;
SELECT kdtree_merge('items_v');
SELECT * FROM pg_temp.kd_parts('items_v');
SELECT pg_temp.answers();
-- what lists hold stays where it is
INSERT INTO items VALUES (9001, NULL), (9002, NULL), (9003, array_fill(3e38, ARRAY[16])::vector);
SELECT kdtree_merge('items_v');
SELECT * FROM pg_temp.kd_parts('items_v');
SELECT pg_temp.answers();

-- in a transaction that is rolled back: the rows go, the merge stays
BEGIN;
SELECT pg_temp.add(10001, 11000);
SELECT kdtree_merge('items_v');
SELECT pg_temp.answers();
SAVEPOINT s;
SELECT pg_temp.add(11001, 12000);
SELECT kdtree_merge('items_v');
ROLLBACK TO s;
SELECT pg_temp.answers();
ROLLBACK;
SELECT pg_temp.answers();
VACUUM (INDEX_CLEANUP ON) items;
SELECT pg_temp.answers();
-- an error in the same statement changes nothing about that
SELECT pg_temp.add(12001, 12500);
SELECT 1 / (kdtree_merge('items_v') - 1);
SELECT pg_temp.answers();
-- under cursors of the same transaction
BEGIN;
SET LOCAL enable_seqscan = off;
DECLARE near CURSOR FOR SELECT id FROM items ORDER BY v <-> (SELECT v FROM items WHERE id = 7);
FETCH 1 FROM near;
SELECT count(pg_temp.add(i * 500 + 20001, i * 500 + 20500)) FROM generate_series(0, 3) i;
SELECT kdtree_merge('items_v');
SELECT count(pg_temp.add(i * 500 + 23001, i * 500 + 23500)) FROM generate_series(0, 3) i;
SELECT kdtree_merge('items_v');
MOVE ALL FROM near;
\echo :ROW_COUNT rows are left
COMMIT;
SELECT count(*) FROM items WHERE id < 20000;
SELECT pg_temp.answers();
DROP TABLE items;

-- by a function that is called for each of several indexes, and by a trigger
CREATE TABLE items (id int, v vector(16)) WITH (autovacuum_enabled = off);
CREATE INDEX items_l2 ON items USING kdtree (v) WITH (delta_size = 64);
CREATE INDEX items_cosine ON items USING kdtree (v vector_cosine_ops) WITH (delta_size = 64);
CREATE INDEX items_ip ON items USING kdtree (v vector_ip_ops) WITH (delta_size = 64);
CREATE INDEX items_few ON items USING kdtree (v) WHERE id % 10 = 0;
SELECT pg_temp.add(1, 2000);
SELECT pg_temp.add(2001, 4000);
SELECT indexrelid::regclass::text COLLATE "C" AS index, kdtree_merge(indexrelid) FROM pg_index WHERE indrelid = 'items'::regclass ORDER BY 1;
SELECT pg_temp.kd_compare(format('SELECT id, v %s (SELECT v FROM items WHERE id = 7) AS d FROM items ORDER BY 2', operator))
  FROM unnest(ARRAY['<->', '<=>', '<#>']) operator;
SELECT pg_temp.kd_compare('SELECT id, v <-> (SELECT v FROM items WHERE id = 7) AS d FROM items WHERE id % 10 = 0 ORDER BY 2');
CREATE FUNCTION pg_temp.merge_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM kdtree_merge(indexrelid) FROM pg_index WHERE indrelid = TG_RELID;
  RETURN NULL;
END
$$;
CREATE TRIGGER merge_all AFTER INSERT ON items EXECUTE FUNCTION pg_temp.merge_all();
SELECT pg_temp.add(4001, 5000);
SELECT i.indexrelid::regclass::text COLLATE "C" AS index, s.kind, s.vectors FROM pg_index i, kdtree_stats(i.indexrelid) s
  WHERE indrelid = 'items'::regclass AND s.vectors > 0 ORDER BY 1, 2;
SELECT pg_temp.answers();
DROP TABLE items;

-- little memory: several segments remain, large ones as they are
CREATE TEMP TABLE items (id int, v vector(16));
CREATE INDEX items_v ON items USING kdtree (v) WITH (delta_size = 64);
SELECT pg_temp.add(1, 8000);
SET maintenance_work_mem = '1MB';
SELECT kdtree_merge('items_v') > 1 AS several;
SELECT sum(vectors) FROM kdtree_stats('items_v') WHERE kind = 'segment';
SELECT pg_temp.answers();
RESET maintenance_work_mem;
SELECT kdtree_merge('items_v');
SELECT pg_temp.answers();
-- the options are those that the index has now
ALTER INDEX items_v SET (leaf_size = 100);
SELECT pg_temp.add(8001, 8100);
SELECT kdtree_merge('items_v');
SELECT leaves FROM kdtree_stats('items_v') WHERE kind = 'segment';
SELECT pg_temp.answers();
DROP TABLE items;

-- what is refused
CREATE TABLE items (id int PRIMARY KEY, v vector(2)) PARTITION BY RANGE (id);
CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM (0) TO (1000);
CREATE INDEX items_v ON items USING kdtree (v);
SELECT kdtree_merge('items_1_v_idx');
SELECT kdtree_merge('items_v');
\echo :SQLSTATE
SELECT kdtree_merge('items_pkey');
\echo :SQLSTATE
SELECT kdtree_merge('items_1');
\echo :SQLSTATE
SELECT kdtree_merge('pg_class');
SELECT kdtree_merge(0);
\echo :SQLSTATE
SELECT kdtree_merge(NULL) IS NULL;
DROP TABLE items;

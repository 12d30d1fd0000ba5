-- pgvector's access methods by name: hnsw and ivfflat build an exact kdtree index, and say so.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE named (id int, v vector(4));
INSERT INTO named SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(1, 3000) i;
INSERT INTO named VALUES (0, '[0,0,0,0]'), (-1, NULL);

-- each operator class answers as a sort does; zero vectors and NULL are there, too
CREATE INDEX named_v ON named USING hnsw (v vector_l2_ops) WITH (m = 16, ef_construction = 64);
SELECT pg_temp.kd_compare($$SELECT v <-> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0.5,0.5,0.5,0.5]' AS d FROM named WHERE id % 100 = 3 ORDER BY 2 LIMIT 50$$);
SELECT pg_temp.kd_compare($$SELECT v <-> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1$$);
INSERT INTO named SELECT i, pg_temp.kd_vector(i, 4) FROM generate_series(3001, 3200) i;
DELETE FROM named WHERE id % 7 = 0;
VACUUM named;
SELECT pg_temp.kd_compare($$SELECT v <-> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_v;
CREATE INDEX named_v ON named USING hnsw (v vector_ip_ops);
SELECT pg_temp.kd_compare($$SELECT v <#> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_v;
CREATE INDEX named_v ON named USING hnsw (v vector_cosine_ops);
SELECT pg_temp.kd_compare($$SELECT v <=> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1$$);
DROP INDEX named_v;
CREATE INDEX named_v ON named USING ivfflat (v) WITH (lists = 1000);
SELECT pg_temp.kd_compare($$SELECT v <-> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_v;
CREATE INDEX named_v ON named USING ivfflat (v vector_ip_ops);
SELECT pg_temp.kd_compare($$SELECT v <#> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_v;
CREATE INDEX named_v ON named USING ivfflat (v vector_cosine_ops);
SELECT pg_temp.kd_compare($$SELECT v <=> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1$$);
DROP INDEX named_v;
CREATE INDEX named_v ON named USING hnsw (v vector_l1_ops);
SELECT pg_temp.kd_compare($$SELECT v <+> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_v;
SET client_min_messages = warning;
CREATE INDEX named_h ON named USING hnsw ((v::halfvec(4)) halfvec_l2_ops);
SELECT pg_temp.kd_compare($$SELECT v::halfvec(4) <-> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_h;
CREATE INDEX named_h ON named USING hnsw ((v::halfvec(4)) halfvec_ip_ops);
SELECT pg_temp.kd_compare($$SELECT v::halfvec(4) <#> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_h;
CREATE INDEX named_h ON named USING hnsw ((v::halfvec(4)) halfvec_cosine_ops);
SELECT pg_temp.kd_compare($$SELECT v::halfvec(4) <=> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_h;
CREATE INDEX named_h ON named USING hnsw ((v::halfvec(4)) halfvec_l1_ops);
SELECT pg_temp.kd_compare($$SELECT v::halfvec(4) <+> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_h;
CREATE INDEX named_h ON named USING ivfflat ((v::halfvec(4)) halfvec_l2_ops);
SELECT pg_temp.kd_compare($$SELECT v::halfvec(4) <-> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_h;
CREATE INDEX named_h ON named USING ivfflat ((v::halfvec(4)) halfvec_ip_ops);
SELECT pg_temp.kd_compare($$SELECT v::halfvec(4) <#> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_h;
CREATE INDEX named_h ON named USING ivfflat ((v::halfvec(4)) halfvec_cosine_ops);
SELECT pg_temp.kd_compare($$SELECT v::halfvec(4) <=> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_h;
CREATE INDEX named_s ON named USING hnsw ((v::sparsevec(4)) sparsevec_l2_ops);
SELECT pg_temp.kd_compare($$SELECT v::sparsevec(4) <-> '{1:0.5,2:0.5}/4' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_s;
CREATE INDEX named_s ON named USING hnsw ((v::sparsevec(4)) sparsevec_ip_ops);
SELECT pg_temp.kd_compare($$SELECT v::sparsevec(4) <#> '{1:0.5,2:0.5}/4' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_s;
CREATE INDEX named_s ON named USING hnsw ((v::sparsevec(4)) sparsevec_cosine_ops);
SELECT pg_temp.kd_compare($$SELECT v::sparsevec(4) <=> '{1:0.5,2:0.5}/4' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_s;
CREATE INDEX named_s ON named USING hnsw ((v::sparsevec(4)) sparsevec_l1_ops);
SELECT pg_temp.kd_compare($$SELECT v::sparsevec(4) <+> '{1:0.5,2:0.5}/4' AS d FROM named ORDER BY 1 LIMIT 50$$);
DROP INDEX named_s;
CREATE INDEX named_b ON named USING hnsw ((binary_quantize(v - '[0.5,0.5,0.5,0.5]')::bit(4)) bit_hamming_ops);
SELECT pg_temp.kd_compare($$SELECT d FROM (SELECT binary_quantize(v - '[0.5,0.5,0.5,0.5]')::bit(4) <~> B'1010' AS d FROM named) q ORDER BY 1 LIMIT 50$$);
DROP INDEX named_b;
CREATE INDEX named_b ON named USING hnsw ((binary_quantize(v - '[0.5,0.5,0.5,0.5]')::bit(4)) bit_jaccard_ops);
SELECT pg_temp.kd_compare($$SELECT d FROM (SELECT binary_quantize(v - '[0.5,0.5,0.5,0.5]')::bit(4) <%> B'1010' AS d FROM named) q ORDER BY 1 LIMIT 50$$);
DROP INDEX named_b;
CREATE INDEX named_b ON named USING ivfflat ((binary_quantize(v - '[0.5,0.5,0.5,0.5]')::bit(4)) bit_hamming_ops);
SELECT pg_temp.kd_compare($$SELECT d FROM (SELECT binary_quantize(v - '[0.5,0.5,0.5,0.5]')::bit(4) <~> B'1010' AS d FROM named) q ORDER BY 1 LIMIT 50$$);
DROP INDEX named_b;
RESET client_min_messages;
CREATE INDEX named_v ON named USING ivfflat (v vector_cosine_ops);
EXPLAIN (COSTS OFF) SELECT id FROM named ORDER BY v <=> '[1,2,3,4]' LIMIT 5;

-- the functions of the extension kdtree take these indexes
SELECT kind, vectors FROM kdtree_stats('named_v') WHERE vectors > 0;
SELECT kdtree_merge('named_v');
SELECT * FROM kdtree_check('named_v', true);
SELECT target, measured, mean FROM kdtree_recall('named_v', recall => 1);
DROP INDEX named_v;

-- options: pgvector's ranges and errors
CREATE INDEX ON named USING hnsw (v vector_l2_ops) WITH (m = 1);
CREATE INDEX ON named USING hnsw (v vector_l2_ops) WITH (m = 101);
CREATE INDEX ON named USING hnsw (v vector_l2_ops) WITH (ef_construction = 3);
CREATE INDEX ON named USING hnsw (v vector_l2_ops) WITH (ef_construction = 1001);
CREATE INDEX ON named USING hnsw (v vector_l2_ops) WITH (m = 100, ef_construction = 199);
CREATE INDEX ON named USING hnsw (v vector_l2_ops) WITH (lists = 100);
CREATE INDEX ON named USING hnsw (v vector_l2_ops) WITH (recall = 0.9);
CREATE INDEX ON named USING ivfflat (v) WITH (lists = 0);
CREATE INDEX ON named USING ivfflat (v) WITH (lists = 32769);
CREATE INDEX ON named USING ivfflat (v) WITH (m = 16);
CREATE INDEX named_v ON named USING hnsw (v vector_l2_ops) WITH (m = 100, ef_construction = 200);
ALTER INDEX named_v SET (m = 1);
ALTER INDEX named_v SET (m = 2);
SELECT reloptions FROM pg_class WHERE relname = 'named_v';
DROP INDEX named_v;

-- what pgvector does not have is refused as there
CREATE INDEX ON named USING hnsw (v);
CREATE INDEX ON named USING hnsw (id);
CREATE INDEX ON named USING hnsw (v vector_l2_ops, id);
CREATE INDEX ON named USING ivfflat (v, id);
CREATE UNIQUE INDEX ON named USING hnsw (v vector_l2_ops);
CREATE INDEX ON named USING hnsw (v vector_l2_ops) INCLUDE (id);

-- settings: validated, without effect
SHOW hnsw.ef_search;
SHOW hnsw.iterative_scan;
SHOW hnsw.max_scan_tuples;
SHOW hnsw.scan_mem_multiplier;
SHOW ivfflat.probes;
SHOW ivfflat.iterative_scan;
SHOW ivfflat.max_probes;
SET hnsw.ef_search = 0;
SET hnsw.ef_search = 1001;
SET hnsw.iterative_scan = on;
SET hnsw.max_scan_tuples = 0;
SET hnsw.scan_mem_multiplier = 1001;
SET ivfflat.probes = 32769;
SET ivfflat.iterative_scan = strict_order;
SET ivfflat.max_probes = 0;
SET hnsw.nonsense = 1;
SET ivfflat.nonsense = 1;
CREATE INDEX named_v ON named USING hnsw (v vector_l2_ops);
BEGIN;
SET LOCAL hnsw.ef_search = 1;
SET LOCAL hnsw.iterative_scan = relaxed_order;
SET LOCAL hnsw.max_scan_tuples = 1;
SELECT pg_temp.kd_compare($$SELECT v <-> '[0.5,0.5,0.5,0.5]' AS d FROM named ORDER BY 1 LIMIT 500$$);
COMMIT;
SHOW hnsw.ef_search;

-- the NOTICE comes with CREATE INDEX, in a block as well, and with nothing else that builds an index
REINDEX INDEX named_v;
REINDEX INDEX CONCURRENTLY named_v;
VACUUM FULL named;
ALTER TABLE named ALTER v TYPE vector(4) USING v + v;
CREATE TABLE copied (LIKE named INCLUDING INDEXES);
TRUNCATE copied;
DROP TABLE copied;
DROP INDEX named_v;
CREATE INDEX CONCURRENTLY named_v ON named USING ivfflat (v);
DROP INDEX named_v;
DO $$ BEGIN CREATE INDEX named_v ON named USING ivfflat (v); END $$;
DROP TABLE named;

-- and once for all partitions
CREATE TABLE parted (id int, v vector(2)) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (100) PARTITION BY RANGE (id);
CREATE TABLE parted_21 PARTITION OF parted_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE parted_22 PARTITION OF parted_2 FOR VALUES FROM (20) TO (30);
CREATE INDEX parted_v ON parted USING hnsw (v vector_l2_ops);
CREATE INDEX parted_w ON parted USING hnsw (v vector_cosine_ops);
CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM (100) TO (200);
INSERT INTO parted SELECT i, ARRAY[i, i] FROM generate_series(0, 29) i;
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[12,13]' AS d FROM parted ORDER BY 2 LIMIT 5$$);
SELECT * FROM kdtree_stats('parted_v');
DROP TABLE parted;

-- no limit to the dimensions but the type's, and none that a column must have
CREATE TABLE plain (v vector);
INSERT INTO plain SELECT pg_temp.kd_vector(i, 3000) FROM generate_series(1, 20) i;
CREATE INDEX ON plain USING hnsw (v vector_l2_ops);
SELECT pg_temp.kd_compare($$SELECT v <-> pg_temp.kd_vector(50, 3000) AS d FROM plain ORDER BY 1 LIMIT 5$$);
INSERT INTO plain VALUES ('[1,2]');
DROP TABLE plain;

-- operator classes: by their operator, which must be a distance that is served
SELECT amname, opcname, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
  WHERE amname IN ('hnsw', 'ivfflat') ORDER BY amname, opcname COLLATE "C";
CREATE OPERATOR CLASS made_up FOR TYPE box USING hnsw AS OPERATOR 1 <-> (box, box) FOR ORDER BY float_ops;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'made_up';
CREATE TABLE boxes (b box);
CREATE INDEX ON boxes USING hnsw (b made_up);
DROP TABLE boxes;
DROP OPERATOR FAMILY made_up USING hnsw;

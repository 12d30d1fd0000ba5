-- The B-tree operator class: indexes, uniqueness, sorting, grouping, joins.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS vector;
RESET client_min_messages;

CREATE TABLE t (v vector(3));
INSERT INTO t VALUES ('[0,0,0]'), ('[1,2,3]'), ('[1,1,1]'), (NULL), ('[1,2,3]');
CREATE INDEX ON t (v);
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM t WHERE v = '[1,2,3]';
SELECT * FROM t WHERE v = '[1,2,3]';
SELECT * FROM t WHERE v > '[0,0,0]' ORDER BY v DESC;
SELECT v FROM t ORDER BY v LIMIT 1;
SELECT v FROM t ORDER BY v DESC NULLS LAST;
COMMIT;
SELECT DISTINCT v FROM t ORDER BY v;
SELECT v, count(*) FROM t GROUP BY v ORDER BY v;
SELECT count(*) FROM t a JOIN t b USING (v);
SELECT v FROM t WHERE v IN ('[1,1,1]', '[0,0,0]') ORDER BY v;
DROP TABLE t;

CREATE TABLE u (v vector UNIQUE);
INSERT INTO u VALUES ('[1,2]'), ('[1]'), ('[1,2,3]');
INSERT INTO u VALUES ('[1,2]');
INSERT INTO u VALUES ('[1,2]') ON CONFLICT (v) DO NOTHING;
SELECT * FROM u ORDER BY v;
DROP TABLE u;

-- the index agrees with the sort
SELECT setseed(0.75);
CREATE TABLE r AS SELECT i, ARRAY[floor(random() * 4), floor(random() * 4) / 2, -floor(random() * 4)]::vector AS v
  FROM generate_series(1, 2000) i;
CREATE TABLE sorted AS SELECT row_number() OVER (ORDER BY v, i) AS n, v FROM r;
CREATE INDEX ON r (v);
ANALYZE r;
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_sort = off;
SET LOCAL enable_incremental_sort = on;
SELECT count(*) AS differences FROM (SELECT row_number() OVER (ORDER BY v, i) AS n, v FROM r) a
  FULL JOIN sorted b USING (n) WHERE a.v IS DISTINCT FROM b.v;
COMMIT;
DROP TABLE r, sorted;

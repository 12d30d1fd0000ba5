-- sparsevec: text form, binary form, casts, distances, comparison, limits, errors.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS vector;
RESET client_min_messages;

-- text: pairs in any order, zeros dropped
SELECT '{1:1.5,3:2}/5'::sparsevec, ' { 3 : 1.5 , 1 : -2e1 } / 5 '::sparsevec, '{}/5'::sparsevec, '{ }/1'::sparsevec;
SELECT '{1:0,2:1,3:-0}/5'::sparsevec, '{1:0,1:2}/5'::sparsevec, '{+1:1,03:0x1p3}/+5'::sparsevec;
SELECT '{1:1.23456789,2:1e38,3:1e-45,1000000000:-3}/1000000000'::sparsevec;
SELECT ''::sparsevec;
SELECT '[1,2]'::sparsevec;
SELECT '{'::sparsevec;
SELECT '{1'::sparsevec;
SELECT '{1:'::sparsevec;
SELECT '{1:1'::sparsevec;
SELECT '{1:1,'::sparsevec;
SELECT '{1:1,}/5'::sparsevec;
SELECT '{1:1 2:2}/5'::sparsevec;
SELECT '{1.5:1}/5'::sparsevec;
SELECT '{a:1}/5'::sparsevec;
SELECT '{1:a}/5'::sparsevec;
SELECT '{1:1}'::sparsevec;
SELECT '{1:1}/'::sparsevec;
SELECT '{1:1}/a'::sparsevec;
SELECT '{1:1}/5a'::sparsevec;
SELECT '{1:1}/5 5'::sparsevec;
-- numbers that are not elements: a stored element is not zero
SELECT '{1:NaN}/5'::sparsevec;
SELECT '{1:-Infinity}/5'::sparsevec;
SELECT '{1:4e38}/5'::sparsevec;
SELECT '{1:1e-46}/5'::sparsevec;
-- indices
SELECT '{0:1}/5'::sparsevec;
SELECT '{-1:1}/5'::sparsevec;
SELECT '{6:1}/5'::sparsevec;
SELECT '{9223372036854775808:1}/5'::sparsevec;
SELECT '{2:1,1:1,2:1}/5'::sparsevec;
-- dimensions
SELECT '{}/0'::sparsevec;
SELECT '{}/-1'::sparsevec;
SELECT '{}/1000000001'::sparsevec;
SELECT '{}/9223372036854775808'::sparsevec;

-- type modifier
CREATE TABLE typed (s sparsevec(3));
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'typed'::regclass AND attnum = 1;
INSERT INTO typed VALUES ('{1:1}/3'), (ARRAY[1,0,3]), (ARRAY[1,0,0.5]), ('[0,0,3]'::vector), ('[0,2,0]'::halfvec);
INSERT INTO typed VALUES ('{1:1}/4');
INSERT INTO typed VALUES ('{5:1}/4');
INSERT INTO typed VALUES ('{1:1}/4'::sparsevec);
INSERT INTO typed VALUES (ARRAY[1,2]);
INSERT INTO typed VALUES ('[1,2]'::vector);
TABLE typed;
DROP TABLE typed;
SELECT '{}/5'::sparsevec(0);
SELECT '{}/5'::sparsevec(1000000000);
SELECT '{}/5'::sparsevec(1000000001);
SELECT '{}/5'::sparsevec(5,5);

-- casts
SELECT '[1,0,-2,-0]'::vector::sparsevec, '[1,0,-2,6e-8]'::halfvec::sparsevec, '{1:1,3:-2}/4'::sparsevec::vector, '{1:1,3:0.1}/4'::sparsevec::halfvec;
SELECT ARRAY[1,0,-2]::sparsevec, ARRAY[0,0.5]::sparsevec, ARRAY[0,0.1]::real[]::sparsevec, ARRAY[1e-60,0.1]::double precision[]::sparsevec;
SELECT array_fill(0, ARRAY[100000])::sparsevec;
SELECT '{}/5'::sparsevec::vector(4);
SELECT '{}/5'::sparsevec::halfvec(4);
SELECT '[0]'::vector::sparsevec(2);
SELECT '{1:1}/16001'::sparsevec::vector;
SELECT '{1:1}/16001'::sparsevec::halfvec;
SELECT '{1:1e6}/3'::sparsevec::halfvec;
SELECT '{1:1e-10}/3'::sparsevec::halfvec;
SELECT '{}'::int[]::sparsevec;
SELECT '{NULL}'::real[]::sparsevec;
SELECT '{{1}}'::int[]::sparsevec;
SELECT '{NaN}'::real[]::sparsevec;
SELECT '{1e39}'::double precision[]::sparsevec;
SELECT '{1:1}/2'::sparsevec::real[];

-- limits, and storage: short header, plain, out of line
SELECT array_fill(1, ARRAY[16001])::sparsevec;
SELECT ('{' || string_agg(i || ':1', ',') || '}/20000')::sparsevec FROM generate_series(1, 16001) i;
CREATE TABLE stored (n int, s sparsevec);
INSERT INTO stored SELECT n, ('{' || (SELECT coalesce(string_agg(i || ':0.5', ','), '') FROM generate_series(1, n) i) || '}/20000')::sparsevec
  FROM unnest(ARRAY[0, 1, 13, 14, 15, 200, 5000, 16000]) n;
SELECT n, pg_column_size(s), round((l2_norm(s) ^ 2)::numeric, 6) AS square, s <+> (SELECT s FROM stored o WHERE o.n = stored.n) AS zero FROM stored ORDER BY n;
SELECT count(*) FROM stored a JOIN stored b ON a.s = b.s;
DROP TABLE stored;

-- distances
SELECT '{1:1,2:2}/3'::sparsevec <-> '{1:3,3:1}/3' AS l2, '{1:1,2:2}/3'::sparsevec <#> '{1:3,3:1}/3' AS ip,
  '{1:1,2:2}/3'::sparsevec <=> '{1:2,2:4}/3' AS cosine, '{1:1,2:2}/3'::sparsevec <+> '{1:3,3:1}/3' AS l1;
SELECT '{1:1}/3'::sparsevec <=> '{2:1}/3' AS orthogonal, '{1:1}/3'::sparsevec <=> '{}/3' AS zero, '{}/3'::sparsevec <-> '{}/3' AS none;
SELECT l2_distance('{1:3}/2'::sparsevec, '{2:4}/2'), inner_product('{1:3}/2'::sparsevec, '{1:4}/2'), cosine_distance('{1:3}/2'::sparsevec, '{1:-4}/2'),
  l1_distance('{1:3}/2'::sparsevec, '{2:4}/2'), sparsevec_l2_squared_distance('{1:3}/2', '{2:4}/2'), sparsevec_negative_inner_product('{1:3}/2', '{1:4}/2');
SELECT '{1:3e38}/1'::sparsevec <-> '{1:-3e38}/1' AS l2, '{1:3e38}/1'::sparsevec <#> '{1:3e38}/1' AS ip;
SELECT '{1:1}/2'::sparsevec <-> '{1:1}/3';
SELECT '{1:1}/2'::sparsevec <#> '{1:1}/3';
SELECT '{1:1}/2'::sparsevec <=> '{1:1}/3';
SELECT '{1:1}/2'::sparsevec <+> '{1:1}/3';
-- those of vectors with the same numbers, up to the order of the sums; exactly where the numbers are small and whole
SELECT setseed(0.5);
CREATE TEMP TABLE pairs AS
  SELECT d, array_agg((random() < 0.3)::int * floor(random() * 9 - 4))::vector AS a, array_agg((random() < 0.3)::int * floor(random() * 9 - 4))::vector AS b
  FROM unnest(ARRAY[1, 2, 3, 10, 100, 1000, 16000]) d, generate_series(1, 5) copy, generate_series(1, d) GROUP BY d, copy;
SELECT count(*), count(*) FILTER (WHERE (a::sparsevec <-> b::sparsevec) = (a <-> b)) AS l2,
  count(*) FILTER (WHERE (a::sparsevec <#> b::sparsevec) = (a <#> b)) AS ip,
  count(*) FILTER (WHERE (a::sparsevec <=> b::sparsevec) IN (a <=> b)) AS cosine,
  count(*) FILTER (WHERE (a::sparsevec <+> b::sparsevec) = (a <+> b)) AS l1,
  count(*) FILTER (WHERE sparsevec_cmp(a, b) = vector_cmp(a, b)) AS comparison,
  count(*) FILTER (WHERE a::sparsevec::vector = a) AS there_and_back FROM pairs;

-- functions of one vector
SELECT l2_norm('{1:3,9:4}/10'::sparsevec), l2_norm('{}/2'::sparsevec), l2_norm('{1:3e38,2:3e38}/2'::sparsevec) > 3e38 AS computed_in_double;
SELECT l2_normalize('{1:3,9:4}/10'::sparsevec), l2_normalize('{}/2'::sparsevec), l2_normalize('{1:1e-45,2:3e38}/2'::sparsevec) AS too_small_to_stay;

-- comparison: that of dense vectors
SELECT '{1:1}/2'::sparsevec < '{2:1}/2', '{1:-1}/2'::sparsevec < '{2:1}/2', '{}/2'::sparsevec > '{1:-1}/2', '{1:1}/2'::sparsevec = '{1:1}/2',
  '{1:1}/2'::sparsevec <> '{1:1}/3', '{1:1}/2'::sparsevec <= '{1:1,3:-1}/3', '{1:1,2:-1}/2'::sparsevec >= '{1:1}/3';
CREATE TABLE sorted (id int, s sparsevec);
INSERT INTO sorted SELECT i, ARRAY[i % 10, -i] FROM generate_series(1, 1000) i;
CREATE INDEX ON sorted (s);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM sorted WHERE s = '{1:7,2:-7}/2';
SELECT id FROM sorted WHERE s = '{1:7,2:-7}/2';
SELECT id FROM sorted ORDER BY s LIMIT 3;
SELECT count(DISTINCT s), min(id) FROM sorted WHERE s > '{1:8}/2';
RESET enable_seqscan;

-- binary
SELECT sparsevec_send('{1:1.5,3:-2}/5'), sparsevec_send('{}/5');
\getenv builddir PG_ABS_BUILDDIR
\set file :builddir '/results/sparsevec.bin'
\set copy_out '\\copy sorted TO ' :'file' ' (FORMAT binary)'
\set copy_in '\\copy copied FROM ' :'file' ' (FORMAT binary)'
CREATE TABLE copied (LIKE sorted);
:copy_out
:copy_in
SELECT count(*) AS same FROM sorted s JOIN copied c USING (id) WHERE sparsevec_send(s.s) = sparsevec_send(c.s);
DROP TABLE sorted, copied;

-- NULLs stay NULLs; there is no arithmetic
SELECT NULL::sparsevec IS NULL, NULL::vector::sparsevec IS NULL, l2_norm(NULL::sparsevec) IS NULL, '{}/1'::sparsevec <-> NULL IS NULL;
SELECT '{1:1}/2'::sparsevec + '{1:1}/2';

-- SQLSTATEs
\set VERBOSITY sqlstate
SELECT '{1'::sparsevec;
SELECT '{}/0'::sparsevec;
SELECT '{}/1000000001'::sparsevec;
SELECT '{1:4e38}/5'::sparsevec;
SELECT '{1:nan}/5'::sparsevec;
SELECT '{6:1}/5'::sparsevec;
SELECT '{1:1,1:1}/5'::sparsevec;
SELECT '{}/5'::sparsevec(4);
SELECT '{}/5'::sparsevec(0);
SELECT '{}/5'::sparsevec <-> '{}/4';
SELECT array_fill(1, ARRAY[16001])::sparsevec;

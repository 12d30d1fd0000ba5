-- halfvec: what is not as in vector, whose code it shares, and that every function is there.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS vector;
RESET client_min_messages;

-- text: rounded to half precision, ties to even; written as real is
SELECT '[1,2,3]'::halfvec, ' [ 1 , -2.5 ] '::halfvec, '[0.1,0.3333,1.0001,1000.5,2049,2051]'::halfvec;
SELECT '[65504,65519.99,-65519.99]'::halfvec, '[6.1e-5,6e-8,2.98e-8,2.9803e-8,3e-8,1e-60,-0]'::halfvec;
SELECT '[65520]'::halfvec;
SELECT '[1,-1e5]'::halfvec;
SELECT '[4e38]'::halfvec;
SELECT '[NaN]'::halfvec;
SELECT '[1,Infinity]'::halfvec;
SELECT '[]'::halfvec;
SELECT '[1,2'::halfvec;
SELECT '1,2'::halfvec;
SELECT '[1,a]'::halfvec;
-- every half is read as it is written, and widened exactly
CREATE TEMP TABLE halves AS
  SELECT bits, ('[' || CASE WHEN exponent = 0 THEN fraction * 2::real ^ -24
    ELSE (1024 + fraction) * 2::real ^ (exponent - 25) END * sign || ']')::halfvec AS h
  FROM generate_series(0, 65535) bits, LATERAL (SELECT bits >> 10 & 31 AS exponent, bits & 1023 AS fraction,
    CASE WHEN bits >= 32768 THEN -1 ELSE 1 END AS sign) parts
  WHERE exponent < 31;
SELECT count(*), count(*) FILTER (WHERE h::text::halfvec = h) AS as_written,
  count(*) FILTER (WHERE h::vector::text = h::text) AS as_vector,
  count(*) FILTER (WHERE h::vector::halfvec = h) AS and_back,
  count(*) FILTER (WHERE substr(halfvec_send(h), 5) = substr(int4send(bits), 3)) AS with_these_bits
  FROM halves WHERE bits <> 32768;

-- type modifier
CREATE TABLE typed (h halfvec(3));
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'typed'::regclass AND attnum = 1;
INSERT INTO typed VALUES ('[1,2,3]'), (ARRAY[1,2,3]), (ARRAY[1,2.5,3]), (ARRAY[1,2,3]::real[]), ('[1,2,3]'::vector);
INSERT INTO typed VALUES ('[1,2]');
INSERT INTO typed VALUES (ARRAY[1,2]);
INSERT INTO typed VALUES ('[1,2]'::vector);
TABLE typed;
DROP TABLE typed;
SELECT '[1]'::halfvec(0);
SELECT '[1]'::halfvec(16001);
SELECT '[1]'::halfvec(1,2);

-- casts
SELECT '[1,2.5]'::halfvec::vector, '[1,0.1]'::vector::halfvec, '[1,0.1]'::halfvec::real[], '[1,2]'::halfvec::vector(2);
SELECT '[1,2]'::halfvec::vector(3);
SELECT '[1,2]'::vector::halfvec(3);
SELECT '[1,1e5]'::vector::halfvec;
SELECT '{65520}'::real[]::halfvec;
SELECT '{1e300}'::double precision[]::halfvec;
SELECT '{100000}'::int[]::halfvec;
SELECT '{NULL}'::real[]::halfvec;
SELECT '{}'::real[]::halfvec;
SELECT '{{1}}'::real[]::halfvec;

-- limits, and storage: short header, plain, out of line
SELECT array_fill(1, ARRAY[16001])::halfvec;
CREATE TABLE stored (id int, h halfvec);
INSERT INTO stored SELECT d, array_fill(0.5, ARRAY[d])::halfvec FROM unnest(ARRAY[1, 2, 3, 59, 60, 61, 62, 500, 8000, 16000]) d;
SELECT id, pg_column_size(h), vector_dims(h), round((l2_norm(h) ^ 2)::numeric, 6) AS square, h <+> (SELECT h FROM stored s WHERE s.id = stored.id) AS zero
  FROM stored ORDER BY id;
SELECT count(*) FROM stored a JOIN stored b ON a.h = b.h;
DROP TABLE stored;

-- distances are sums in single precision: beyond what a half can hold
SELECT '[65504]'::halfvec <-> '[-65504]' AS l2, '[65504,65504]'::halfvec <#> '[65504,65504]' AS ip,
  '[65504]'::halfvec <=> '[-65504]' AS cosine, '[65504]'::halfvec <+> '[-65504]' AS l1;
SELECT l2_distance('[0,0]'::halfvec, '[3,4]'), inner_product('[1,2]'::halfvec, '[3,4]'), cosine_distance('[1,2]'::halfvec, '[0,0]'),
  l1_distance('[0,0]'::halfvec, '[3,4]'), halfvec_l2_squared_distance('[0,0]', '[3,4]'),
  halfvec_negative_inner_product('[1,2]', '[3,4]'), halfvec_spherical_distance('[1,0]', '[0,1]');
SELECT '[1,2]'::halfvec <-> '[3]';
SELECT '[1,2]'::halfvec <#> '[3]';
SELECT '[1,2]'::halfvec <=> '[3]';
SELECT '[1,2]'::halfvec <+> '[3]';
-- those of vectors with the same numbers
SELECT setseed(0.5);
CREATE TEMP TABLE pairs AS
  SELECT d, array_agg(random() * 200 - 100)::vector::halfvec AS a, array_agg(random() - 0.5)::vector::halfvec AS b
  FROM unnest(ARRAY[1, 2, 3, 15, 16, 17, 33, 100, 1000, 16000]) d, generate_series(1, d) GROUP BY d;
SELECT d, (a <-> b) = (a::vector <-> b::vector) AS l2, (a <#> b) = (a::vector <#> b::vector) AS ip,
  (a <=> b) = (a::vector <=> b::vector) AS cosine, (a <+> b) = (a::vector <+> b::vector) AS l1 FROM pairs ORDER BY d;

-- arithmetic, rounded once; what a half cannot hold is an error
SELECT '[1,2]'::halfvec + '[3,4]', '[1,2]'::halfvec - '[3,4]', '[1,2]'::halfvec * '[3,4]', '[1,2]'::halfvec || '[3]';
SELECT '[2048]'::halfvec + '[1]', '[2050]'::halfvec + '[1]', '[0.1]'::halfvec * '[10]', '[0]'::halfvec * '[6e-8]';
SELECT '[65504]'::halfvec + '[15]', '[65504]'::halfvec + '[16]';
SELECT '[-65504]'::halfvec - '[65504]';
SELECT '[256]'::halfvec * '[256]';
SELECT '[1e-4]'::halfvec * '[1e-4]';
SELECT '[1,2]'::halfvec + '[3]';
SELECT array_fill(1, ARRAY[16000])::halfvec || '[1]';

-- functions of one vector
SELECT l2_norm('[3,4]'::halfvec), l2_norm('[65504,65504]'::halfvec) > 65504 AS computed_in_double, vector_dims('[1,2]'::halfvec);
SELECT l2_normalize('[3,4]'::halfvec), l2_normalize('[0,0]'::halfvec), l2_normalize('[65504]'::halfvec), l2_normalize('[6e-8]'::halfvec);
SELECT binary_quantize('[1,0,-1,6e-8]'::halfvec), subvector('[1,2,3,4]'::halfvec, 2, 2), subvector('[1,2,3,4]'::halfvec, -1, 3);
SELECT subvector('[1,2,3]'::halfvec, 4, 1);

-- aggregates
SELECT avg(h), sum(h), count(h) FROM (VALUES ('[1,2]'::halfvec), ('[2,5]'), (NULL)) v (h);
SELECT avg(h), sum(h) FROM (VALUES ('[1,2]'::halfvec)) v (h) WHERE false;
SELECT avg(h) FROM (VALUES ('[60000]'::halfvec), ('[60000]')) v (h);
SELECT sum(h) FROM (VALUES ('[60000]'::halfvec), ('[60000]')) v (h);
SELECT avg(h) FROM (VALUES ('[1,2]'::halfvec), ('[1]')) v (h);
SELECT sum(h) FROM (VALUES ('[1,2]'::halfvec), ('[1]')) v (h);
SELECT halfvec_avg('{1,1e6}');
SELECT halfvec_avg('{}');
-- in parallel
CREATE TABLE many (h halfvec(2));
INSERT INTO many SELECT ARRAY[i % 50, 1] FROM generate_series(1, 20000) i;
ANALYZE many;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT avg(h) FROM many;
SELECT avg(h) FROM many;
SELECT sum(h) FROM many WHERE h = '[3,1]';
RESET ALL;
DROP TABLE many;

-- comparison and B-tree
SELECT '[1,2]'::halfvec < '[1,3]', '[1,2]'::halfvec <= '[1,2]', '[0]'::halfvec = '[-0]', '[1]'::halfvec <> '[1,2]',
  '[1]'::halfvec >= '[1,2]', '[2]'::halfvec > '[1,5]', halfvec_cmp('[1,2]', '[1]');
CREATE TABLE sorted (id int, h halfvec);
INSERT INTO sorted SELECT i, ARRAY[i % 10, -i] FROM generate_series(1, 1000) i;
CREATE INDEX ON sorted (h);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM sorted WHERE h = '[7,-7]';
SELECT id FROM sorted WHERE h = '[7,-7]';
SELECT id FROM sorted ORDER BY h LIMIT 3;
SELECT count(DISTINCT h), min(id) FROM sorted WHERE h > '[8,0]';
DROP TABLE sorted;
RESET enable_seqscan;
-- what is rounded to the same halves is equal
CREATE TEMP TABLE keys (h halfvec UNIQUE);
INSERT INTO keys VALUES ('[1,2]'), ('[1,2]');
INSERT INTO keys VALUES ('[1,2]'), ('[1,2.0001]');

-- binary
SELECT halfvec_send('[1,-2]');
\getenv builddir PG_ABS_BUILDDIR
\set file :builddir '/results/halfvec.bin'
\set copy_out '\\copy halves TO ' :'file' ' (FORMAT binary)'
\set copy_in '\\copy copied FROM ' :'file' ' (FORMAT binary)'
CREATE TEMP TABLE copied (LIKE halves);
:copy_out
:copy_in
SELECT count(*) AS same FROM halves h JOIN copied c USING (bits) WHERE halfvec_send(h.h) = halfvec_send(c.h);

-- NULLs stay NULLs
SELECT NULL::halfvec + '[1]' IS NULL, NULL::vector::halfvec IS NULL, l2_norm(NULL::halfvec) IS NULL, '[1]'::halfvec <-> NULL IS NULL;

-- Bit strings: Hamming and Jaccard distance, with the index and without.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

CREATE FUNCTION pg_temp.kd_bits(i int, bits int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT string_agg(CASE WHEN hashint8(i::int8 * 100003 + b) & 65535 < 65536 * (i % 9) / 8 THEN '1' ELSE '0' END, '' ORDER BY b)
  FROM generate_series(1, bits) b
$$;

CREATE TABLE prints (id int PRIMARY KEY, tenant int, e bit(70));
INSERT INTO prints SELECT i, i % 5, pg_temp.kd_bits(i, 70)::bit(70) FROM generate_series(1, 1500) i;
INSERT INTO prints VALUES (2001, 1, NULL), (2002, 2, 0::bit(70)), (2003, 3, ~0::bit(70));
CREATE INDEX prints_hamming ON prints USING kdtree (e);
CREATE INDEX prints_jaccard ON prints USING kdtree (e bit_jaccard_ops, tenant);
-- into the delta
INSERT INTO prints SELECT i, i % 5, pg_temp.kd_bits(i, 70)::bit(70) FROM generate_series(3001, 3200) i;
DELETE FROM prints WHERE id % 7 = 0;
SELECT kind, vectors, dims, metric FROM kdtree_stats('prints_hamming') WHERE vectors > 0;
SELECT pg_temp.kd_bits(17, 70) AS q \gset
SELECT pg_temp.kd_compare(format('SELECT id, e <~> %L AS d FROM prints ORDER BY d', :'q'));
SELECT pg_temp.kd_compare(format('SELECT e <~> %L AS d FROM prints ORDER BY d LIMIT 7', :'q'));
SELECT pg_temp.kd_compare(format('SELECT id, e <%%> %L AS d FROM prints ORDER BY d', :'q'));
SELECT pg_temp.kd_compare(format('SELECT e <%%> %L AS d FROM prints WHERE tenant = 3 ORDER BY d LIMIT 20', :'q'));
SELECT pg_temp.kd_compare('SELECT id, e <%> 0::bit(70) AS d FROM prints ORDER BY d');
VACUUM prints;
SELECT kind, vectors - dead AS live FROM kdtree_stats('prints_hamming') WHERE vectors > 0;
SELECT kdtree_merge('prints_hamming'), kdtree_merge('prints_jaccard');
SELECT kind, vectors, dead, fine_bytes FROM kdtree_stats('prints_hamming') WHERE vectors > 0;
SELECT pg_temp.kd_compare(format('SELECT id, e <~> %L AS d FROM prints ORDER BY d', :'q'));
SELECT pg_temp.kd_compare(format('SELECT id, e <%%> %L AS d FROM prints WHERE tenant IN (1, 2) ORDER BY d', :'q'));
-- always exact, whatever the recall; there is nothing to be measured
SET kdtree.recall = 0.5;
SELECT pg_temp.kd_compare(format('SELECT e <~> %L AS d FROM prints ORDER BY d LIMIT 30', :'q'));
RESET kdtree.recall;
SELECT measured, mean FROM kdtree_recall('prints_hamming');

-- lengths
SELECT id FROM prints ORDER BY e <~> B'101' LIMIT 1;
CREATE TABLE loose (e bit varying, id int);
CREATE INDEX ON loose USING kdtree (e);
CREATE INDEX loose_e ON loose USING kdtree ((e::bit(3)));
INSERT INTO loose VALUES (B'1'), (B'1011'), (NULL);
CREATE INDEX loose_any ON loose USING kdtree ((cast(e AS "bit")));
INSERT INTO loose VALUES (B'');
DROP TABLE loose;
CREATE TABLE long (e bit(64000), id int);
CREATE INDEX ON long USING kdtree (e, id);
INSERT INTO long VALUES (1::bit(64000), 1), (3::bit(64000), 2), (~0::bit(64000), 3);
SET enable_seqscan = off;
SELECT id, e <~> 0::bit(64000) AS d FROM long ORDER BY d;
RESET enable_seqscan;
SELECT * FROM kdtree_check('long_e_id_idx', true);
DROP TABLE long;
CREATE TABLE too_long (e bit(64001));
CREATE INDEX ON too_long USING kdtree (e);
DROP TABLE too_long;

-- a dense vector's signs
CREATE TABLE items (id int, embedding vector(3));
INSERT INTO items SELECT i, pg_temp.kd_vector(i, 3) - '[0.5,0.5,0.5]' FROM generate_series(1, 200) i;
CREATE INDEX items_signs ON items USING kdtree ((binary_quantize(embedding)::bit(3)) bit_hamming_ops);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM items ORDER BY binary_quantize(embedding)::bit(3) <~> binary_quantize('[1,-2,3]'::vector) LIMIT 5;
SELECT pg_temp.kd_compare('SELECT binary_quantize(embedding)::bit(3) <~> binary_quantize(''[1,-2,3]''::vector) AS d FROM items ORDER BY d LIMIT 150');
RESET enable_seqscan;

-- operator classes
SELECT opcname, amvalidate(o.oid) FROM pg_opclass o JOIN pg_am ON pg_am.oid = opcmethod
WHERE amname = 'kdtree' AND (opcname LIKE 'bit%' OR opcname LIKE 'sparsevec%') ORDER BY 1;
CREATE OPERATOR CLASS wrong_bits_ops FOR TYPE bit USING kdtree AS
    OPERATOR 1 <~> (bit, bit) FOR ORDER BY float_ops, FUNCTION 1 (bit, bit) kdtree_metric_l2();
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'wrong_bits_ops';
CREATE INDEX ON prints USING kdtree (e wrong_bits_ops);
DROP OPERATOR FAMILY wrong_bits_ops USING kdtree;
-- bits are not what an index filters by
CREATE INDEX ON prints USING kdtree (e, e);
DROP TABLE prints, items;

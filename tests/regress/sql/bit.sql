-- Distances of Postgres' own bit strings.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS vector;
RESET client_min_messages;

SELECT hamming_distance(B'1010', B'0110'), B'1010' <~> B'0110' AS hamming, B'1' <~> B'0' AS one, B'111' <~> B'111' AS none, B'' <~> B'' AS empty;
SELECT jaccard_distance(B'1010', B'0110'), B'1111' <%> B'1111' AS same, B'1100' <%> B'0011' AS nothing_in_common,
  B'1110' <%> B'1000' AS part, B'00' <%> B'00' AS zeros, B'' <%> B'' AS empty;
SELECT B'1010' <~> B'011';
SELECT B'1010' <%> B'011';
\set VERBOSITY sqlstate
SELECT B'1010' <~> B'011';
SELECT B'1010' <%> B'011';
\set VERBOSITY default
SELECT NULL::bit <~> B'1' IS NULL, B'1' <%> NULL IS NULL;

-- every length up to a few words, and long ones; in every kind of storage: short header, plain, compressed, out of line
CREATE TABLE strings (id int, a bit varying, b bit varying);
INSERT INTO strings SELECT length, string_agg((hashint4(i) & 1)::text, '')::bit varying, string_agg((hashint4(-i) % 5 = 0)::int::text, '')::bit varying
  FROM (SELECT generate_series(1, 200) UNION SELECT unnest(ARRAY[1000, 4096, 64000, 100001])) l (length), generate_series(1, length) i GROUP BY length;
INSERT INTO strings VALUES (1000000, repeat('10', 500000)::bit varying, repeat('1', 1000000)::bit varying);
SELECT count(*), max(length(a)), count(*) FILTER (WHERE pg_column_size(a) < 127) AS short,
  count(*) FILTER (WHERE pg_column_size(a) < length(a) / 8) AS compressed FROM strings;
-- counted by Postgres' own functions
SELECT id, a <~> b AS hamming, a <%> b AS jaccard FROM strings WHERE id IN (64, 1000, 1000000) ORDER BY id;
SELECT id, a <~> b AS actual, bit_count(a # b) AS expected FROM strings WHERE (a <~> b) <> bit_count(a # b);
SELECT id, a <%> b AS actual, bit_count(a & b) AS common FROM strings
  WHERE (a <%> b) <> CASE WHEN bit_count(a & b) = 0 THEN 1 ELSE 1 - bit_count(a & b)::float8 / bit_count(a | b) END;
DROP TABLE strings;

-- what quantized vectors are searched with
CREATE TABLE items (id int, v vector(3));
INSERT INTO items VALUES (1, '[1,-1,1]'), (2, '[-1,-1,-1]'), (3, '[1,1,1]');
SELECT id, binary_quantize(v)::bit(3) <~> B'111' AS distance FROM items ORDER BY distance, id;
SELECT id FROM items ORDER BY binary_quantize(v)::bit(3) <%> binary_quantize('[1,-1,-1]'::vector) LIMIT 2;
DROP TABLE items;

-- Bytes that are not a vector are refused by whatever reads them. (Written for machines with little-endian integers.)
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS vector;
RESET client_min_messages;

-- Reinterpret any bytes as a vector, as disk corruption would.
BEGIN;
CREATE CAST (bytea AS vector) WITHOUT FUNCTION;
\set VERBOSITY terse

-- a sound one: 2 dimensions, 0, 1.0, -2.0
SELECT '\x02000000 0000803f 000000c0'::bytea::vector;

-- plain values
CREATE FUNCTION pg_temp.try(bytes bytea, note text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN note || ': ' || bytes::vector::text;
EXCEPTION WHEN data_corrupted THEN
  RETURN note || ': ' || SQLERRM;
END $$;
CREATE TEMP TABLE cases (n serial, note text, bytes bytea);
INSERT INTO cases (note, bytes) VALUES
  ('nothing', '\x'),
  ('half a header', '\x0200'),
  ('no dimension', '\x00000000'),
  ('fewer than claimed', '\x02000000 0000803f'),
  ('more than claimed', '\x01000000 0000803f 000000c0'),
  ('not whole elements', '\x01000000 0000803f 00'),
  ('a negative number of dimensions', '\xffff0000 0000803f'),
  ('too many dimensions', '\x813e0000'::bytea || decode(repeat('00', 4 * 16001), 'hex')),
  ('a one, the unused field ignored', '\x01000700 0000803f');
SELECT pg_temp.try(bytes, note) FROM cases ORDER BY n;

-- behind a one-byte header: stored rows of up to 126 bytes are packed
CREATE TEMP TABLE packed AS SELECT n, note, bytes::vector AS v FROM cases;
CREATE FUNCTION pg_temp.try(v vector, note text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN note || ': ' || vector_norm(v);
EXCEPTION WHEN data_corrupted THEN
  RETURN note || ': ' || SQLERRM;
END $$;
SELECT pg_column_size(v) < 127 AS packed, pg_temp.try(v, note) FROM packed ORDER BY n;

-- every function that takes a vector reads it with the same care
\set bad '''\\x0200''::bytea::vector'
SAVEPOINT s;
SELECT :bad <-> '[1]'; ROLLBACK TO s;
SELECT '[1]' <=> :bad; ROLLBACK TO s;
SELECT :bad + '[1]'; ROLLBACK TO s;
SELECT :bad < '[1]'; ROLLBACK TO s;
SELECT :bad::real[]; ROLLBACK TO s;
SELECT :bad::vector(1); ROLLBACK TO s;
SELECT vector_send(:bad); ROLLBACK TO s;
SELECT avg(:bad); ROLLBACK TO s;
SELECT sum(v) FROM packed; ROLLBACK TO s;
\set VERBOSITY sqlstate
SELECT vector_dims(:bad); ROLLBACK TO s;
ROLLBACK;

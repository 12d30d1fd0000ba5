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

-- arrays: varchar() hands on any bytes as they are
CREATE FUNCTION pg_temp.as_real(bytea, int, bool) RETURNS real[] LANGUAGE internal IMMUTABLE STRICT AS 'varchar';
CREATE FUNCTION pg_temp.as_double(bytea, int, bool) RETURNS double precision[] LANGUAGE internal IMMUTABLE STRICT AS 'varchar';
CREATE FUNCTION pg_temp.as_numeric(bytea, int, bool) RETURNS numeric[] LANGUAGE internal IMMUTABLE STRICT AS 'varchar';
CREATE FUNCTION pg_temp.try_array(bytes bytea, note text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN note || ': ' || CASE substr(bytes, 9, 2)
    WHEN '\xbc02' THEN pg_temp.as_real(bytes, -1, true)::vector
    WHEN '\xa406' THEN pg_temp.as_numeric(bytes, -1, true)::vector
    ELSE vector_avg(pg_temp.as_double(bytes, -1, true)) END;
EXCEPTION WHEN data_corrupted OR data_exception OR program_limit_exceeded THEN
  RETURN note || ': ' || SQLERRM;
END $$;
-- dimensions, offset of the elements (0 without NULL bitmap), type, length, lower bound, elements
SELECT pg_temp.try_array(bytes, note) FROM (VALUES
  (1, 'a sound one', '\x01000000 00000000 bc020000 02000000 01000000 0000803f 000000c0'::bytea),
  (2, 'with a NULL bitmap', '\x01000000 20000000 bc020000 02000000 01000000 0300000000000000 0000803f 000000c0'),
  (3, 'a sound state', '\x01000000 00000000 bd020000 02000000 01000000 000000000000f03f 0000000000000840'),
  (4, 'half a header', '\x01000000 0000'),
  (5, 'no length', '\x01000000 00000000 bc020000'),
  (6, 'a negative number of dimensions', '\xffffffff 00000000 bc020000 02000000 01000000 0000803f 000000c0'),
  (7, 'more than it has', '\x01000000 00000000 bc020000 03000000 01000000 0000803f 000000c0'),
  (8, 'most that can be', '\x01000000 00000000 bc020000 ffffff7f 01000000 0000803f 000000c0'),
  (9, 'a negative length', '\x01000000 00000000 bc020000 ffffffff 01000000 0000803f 000000c0'),
  (10, 'elements beyond the end', '\x01000000 00010000 bc020000 02000000 01000000 0000803f 000000c0'),
  (11, 'elements before the beginning', '\x01000000 f8ffffff bc020000 02000000 01000000 0000803f 000000c0'),
  (12, 'elements in the header', '\x01000000 08000000 bc020000 02000000 01000000 0000803f 000000c0'),
  (13, 'elements askew', '\x01000000 21000000 bc020000 01000000 01000000 0100000000000000 0000803f 000000c0'),
  (14, 'a NULL bitmap that does not fit', '\x01000000 20000000 bc020000 e8030000 01000000 ffffffffffffffff 0000803f'),
  (15, 'a state of more than it has', '\x01000000 00000000 bd020000 03000000 01000000 000000000000f03f 0000000000000840'),
  (16, 'numbers that are not there', '\x01000000 00000000 a4060000 10270000 01000000 0000803f 000000c0')
) cases (n, note, bytes) ORDER BY n;

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

-- Bytes that are no halfvec, sparsevec or bit string are refused by whatever reads them. (Written for machines with
-- little-endian integers.)
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS vector;
RESET client_min_messages;

-- Reinterpret any bytes, as disk corruption would.
BEGIN;
CREATE CAST (bytea AS halfvec) WITHOUT FUNCTION;
CREATE CAST (bytea AS sparsevec) WITHOUT FUNCTION;
CREATE CAST (bytea AS bit varying) WITHOUT FUNCTION;
CREATE FUNCTION pg_temp.try(type text, bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  EXECUTE CASE type
    WHEN 'halfvec' THEN 'SELECT $1::halfvec || subvector($1::halfvec, 1, 1)'
    WHEN 'sparsevec' THEN 'SELECT concat_ws('' '', $1::sparsevec, $1::sparsevec <+> $1::sparsevec, l2_norm($1::sparsevec))'
    ELSE 'SELECT $1::bit varying <~> $1::bit varying' END INTO result USING bytes;
  RETURN result;
EXCEPTION WHEN data_corrupted THEN
  RETURN SQLERRM;
END $$;
CREATE TEMP TABLE cases (n serial, type text, note text, bytes bytea);
INSERT INTO cases (type, note, bytes) VALUES
  ('halfvec', 'a sound one', '\x02000000 003c 00c0'),
  ('halfvec', 'nothing', '\x'),
  ('halfvec', 'half a header', '\x0200'),
  ('halfvec', 'no dimension', '\x00000000'),
  ('halfvec', 'fewer than claimed', '\x02000000 003c'),
  ('halfvec', 'more than claimed', '\x01000000 003c 00c0'),
  ('halfvec', 'half an element', '\x01000000 003c 00'),
  ('halfvec', 'a negative number of dimensions', '\xffff0000 003c'),
  ('halfvec', 'too many dimensions', '\x813e0000'::bytea || decode(repeat('00', 2 * 16001), 'hex')),
  -- dimensions, elements, unused, indices, elements
  ('sparsevec', 'a sound one', '\x05000000 02000000 00000000 00000000 02000000 0000803f 000000c0'),
  ('sparsevec', 'a sound one without elements', '\x05000000 00000000 00000000'),
  ('sparsevec', 'nothing', '\x'),
  ('sparsevec', 'half a header', '\x05000000 0200'),
  ('sparsevec', 'no dimension', '\x00000000 00000000 00000000'),
  ('sparsevec', 'a negative number of dimensions', '\xffffffff 00000000 00000000'),
  ('sparsevec', 'too many dimensions', '\x01ca9a3b 00000000 00000000'),
  ('sparsevec', 'fewer elements than claimed', '\x05000000 02000000 00000000 00000000 0000803f'),
  ('sparsevec', 'more elements than claimed', '\x05000000 01000000 00000000 00000000 02000000 0000803f 000000c0'),
  ('sparsevec', 'a negative number of elements', '\x05000000 ffffffff 00000000'),
  ('sparsevec', 'most elements that can be claimed', '\x05000000 ffffff7f 00000000 00000000 0000803f'),
  ('sparsevec', 'too many elements', '\x00ca9a3b 813e0000 00000000'::bytea || decode(repeat('00', 8 * 16001), 'hex')),
  -- length, bits
  ('bit', 'a sound one', '\x09000000 ff80'),
  ('bit', 'nothing', '\x'),
  ('bit', 'half a length', '\x0900'),
  ('bit', 'fewer than claimed', '\x09000000 ff'),
  ('bit', 'more than claimed', '\x08000000 ff80'),
  ('bit', 'a negative length', '\xffffffff'),
  ('bit', 'most bits that can be claimed', '\xffffff7f ff');
SELECT type, note, pg_temp.try(type, bytes) FROM cases ORDER BY n;

-- the same behind a one-byte header: stored rows of up to 126 bytes are packed
CREATE TEMP TABLE packed (n int, h halfvec, s sparsevec, b bit varying);
INSERT INTO packed SELECT n, CASE type WHEN 'halfvec' THEN bytes::halfvec END, CASE type WHEN 'sparsevec' THEN bytes::sparsevec END,
  CASE type WHEN 'bit' THEN bytes::bit varying END FROM cases;
CREATE FUNCTION pg_temp.try(h halfvec, s sparsevec, b bit varying) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN coalesce(l2_norm(h)::text, l2_norm(s)::text, (b <~> b)::text);
EXCEPTION WHEN data_corrupted THEN
  RETURN SQLERRM;
END $$;
SELECT n, coalesce(pg_column_size(h), pg_column_size(s), pg_column_size(b)) AS size, pg_temp.try(h, s, b) FROM packed ORDER BY n;

-- indices of a sparsevec that do not ascend, or are beyond the dimensions: no reader trusts them
\set unsorted '\'\\x05000000 02000000 00000000 03000000 01000000 0000803f 000000c0\'::bytea::sparsevec'
\set beyond '\'\\x05000000 02000000 00000000 00000000 ffffff7f 0000803f 000000c0\'::bytea::sparsevec'
\set negative '\'\\x05000000 02000000 00000000 ffffffff 01000000 0000803f 000000c0\'::bytea::sparsevec'
SELECT s, s::vector, s <-> '{2:1}/5', s <#> '{4:1}/5', s < '{2:1}/5' FROM (SELECT :unsorted) v (s);
SELECT s, s <-> '{2:1}/5', s <#> '{4:1}/5', s < '{2:1}/5' FROM (SELECT :beyond) v (s);
SELECT s, s <-> '{2:1}/5', s <#> '{4:1}/5', s < '{2:1}/5' FROM (SELECT :negative) v (s);
SAVEPOINT s;
SELECT :beyond::vector; ROLLBACK TO s;
SELECT :beyond::halfvec; ROLLBACK TO s;
SELECT :negative::vector; ROLLBACK TO s;
ROLLBACK;

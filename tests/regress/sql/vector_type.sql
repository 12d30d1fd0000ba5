-- The type: text form, type modifier, casts, limits, errors.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS vector;
RESET client_min_messages;

-- text input
SELECT '[1,2,3]'::vector;
SELECT ' [ 1 , 2.5 ,
  -3	] '::vector;
SELECT E'\x0B\f\r[1]\x0B\f\r'::vector;
SELECT '[+1,-1,.5,5.,1e2,1E-2,1.5e+10,-0]'::vector;
SELECT '[0x1p3,0xA.8p0]'::vector;
SELECT '[1.23456789012345678901234567890]'::vector;
SELECT '[3.4028235e38,-3.4028235e38,1.17549435e-38,1.4e-45]'::vector;
-- too small becomes zero
SELECT '[1e-46,-1e-46]'::vector;

-- what is not a vector
SELECT ''::vector;
SELECT '1,2,3'::vector;
SELECT '['::vector;
SELECT '[ '::vector;
SELECT '[]'::vector;
SELECT '[ ]'::vector;
SELECT '[,'::vector;
SELECT '[,]'::vector;
SELECT '[1'::vector;
SELECT '[1,'::vector;
SELECT '[1,]'::vector;
SELECT '[,1]'::vector;
SELECT '[1,,3]'::vector;
SELECT '[1, ,3]'::vector;
SELECT '[1 2]'::vector;
SELECT '[1,2,3'::vector;
SELECT '[1,2,3]9'::vector;
SELECT '[1,2,3]]'::vector;
SELECT '{1,2,3}'::vector;
SELECT '[a]'::vector;
SELECT '[1a]'::vector;
SELECT '[1e]'::vector;
SELECT '[--1]'::vector;
SELECT '[0x]'::vector;
SELECT '[é,1]'::vector;
SELECT '[[1]]'::vector;
SELECT '[hello,1]'::vector;

-- numbers that are not elements
SELECT '[NaN,1]'::vector;
SELECT '[nan(1)]'::vector;
SELECT '[Infinity,1]'::vector;
SELECT '[-inf,1]'::vector;
SELECT '[4e38,1]'::vector;
SELECT '[1,-1e+1000000000]'::vector;
SELECT '[0x1p200]'::vector;

-- text output is that of real
SELECT '[1e5,1e6,123456,1234567,16777216,1e15,1e-4,1e-5,0.00012345,1e38]'::vector;
-- 100,000 random bit patterns, and every power of two
SELECT setseed(0.25);
CREATE TEMP TABLE bits AS
  SELECT (random() * 4294967295)::bigint AS b FROM generate_series(1, 100000)
  UNION ALL SELECT exponent::bigint << 23 FROM generate_series(0, 254) exponent
  UNION ALL SELECT 1::bigint << mantissa FROM generate_series(0, 22) mantissa;
CREATE FUNCTION pg_temp.element(b bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  sign int := CASE WHEN b >> 31 & 1 = 1 THEN -1 ELSE 1 END;
  exponent int := b >> 23 & 255;
  mantissa bigint := b & 8388607;
  exact double precision := CASE WHEN exponent = 0 THEN mantissa * 2::double precision ^ -149
    ELSE (8388608 + mantissa) * 2::double precision ^ (exponent - 150) END;
BEGIN
  RETURN (sign * exact)::real::text;
END $$;
CREATE TEMP TABLE elements AS
  SELECT pg_temp.element(b) AS element FROM bits WHERE b >> 23 & 255 < 255;
SELECT count(*) > 90000 AS enough FROM elements;
SELECT element, '[' || element || ']' AS expected, ('[' || element || ']')::vector AS actual FROM elements
  WHERE ('[' || element || ']')::vector::text <> '[' || element || ']' LIMIT 10;
-- and text input is that of real: more digits than needed, rounded correctly
SELECT count(*) AS wrong FROM (SELECT random() * 10 ^ (random() * 70 - 35) AS x FROM generate_series(1, 20000)) s
  WHERE ('[' || x || ']')::vector::text <> '[' || x::text::real || ']';

-- no other character may stand between two digits
CREATE FUNCTION pg_temp.accepts(input text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RETURN input::vector IS NOT NULL;
EXCEPTION WHEN invalid_text_representation THEN
  RETURN false;
END $$;
SELECT string_agg(chr(code), ' ' ORDER BY code) AS accepted FROM generate_series(1, 255) code
  WHERE pg_temp.accepts('[1' || chr(code) || '2]');

-- type modifier
CREATE TABLE typed (v vector(3));
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'typed'::regclass AND attnum = 1;
INSERT INTO typed VALUES ('[1,2,3]');
INSERT INTO typed VALUES ('[1,2]');
INSERT INTO typed VALUES ('[1,2]'::vector);
INSERT INTO typed VALUES (ARRAY[1,2]);
INSERT INTO typed VALUES (ARRAY[1,2,3]), (ARRAY[1.5,2,3]), (ARRAY[1,2,3]::real[]), (ARRAY[1,2,3]::double precision[]);
TABLE typed;
ALTER TABLE typed ALTER v TYPE vector(2);
ALTER TABLE typed ALTER v TYPE vector;
INSERT INTO typed VALUES ('[1,2]');
SELECT v::vector(3) FROM typed;
SELECT '[1,2,3]'::vector(3), '[1,2,3]'::vector(2);
SELECT '[1,2,3]'::vector::vector(2);
SELECT 1 AS one, '[1]'::vector(0);
SELECT '[1]'::vector(-1);
SELECT '[1]'::vector(16000);
SELECT '[1]'::vector(16001);
SELECT '[1]'::vector(1,2);
SELECT '[1]'::vector('a');
SELECT '[1]'::vector(2147483648);
SELECT vector_typmod_in('{}');
SELECT vector_typmod_in('{{1},{2}}');
SELECT vector_typmod_in('{3,NULL}');
DROP TABLE typed;

-- casts from arrays
SELECT ARRAY[1,2,3]::vector;
SELECT ARRAY[1.0,2.5,1e-50]::vector;
SELECT ARRAY[1,2.5,1e-50]::double precision[]::vector;
SELECT ARRAY[1,2.5,0.1]::real[]::vector;
SELECT '[5:7]={1,2,3}'::int[]::vector;
SELECT ARRAY[1,2,3]::vector(3), ARRAY[1,2,3]::vector(2);
SELECT '{}'::real[]::vector;
SELECT '{}'::int[]::vector;
SELECT '{}'::numeric[]::vector;
SELECT '{NULL}'::real[]::vector;
SELECT '{1,NULL,3}'::numeric[]::vector;
SELECT '{{1,2},{3,4}}'::int[]::vector;
SELECT '{NaN}'::real[]::vector;
SELECT '{NaN}'::numeric[]::vector;
SELECT '{Infinity}'::real[]::vector;
SELECT '{-Infinity}'::double precision[]::vector;
SELECT '{1e39}'::double precision[]::vector;
SELECT '{1e39}'::numeric[]::vector;
SELECT array_agg(n)::vector(5) FROM generate_series(1, 5) n;
-- a NULL bitmap without a NULL
SELECT array_remove(ARRAY[1,NULL,3,NULL], NULL)::vector;
SELECT (ARRAY[1,NULL,3]::real[])[3:3]::vector;

-- casts to arrays
SELECT '[1,2.5,3]'::vector::real[];
SELECT array_length('[1,2.5,3]'::vector::real[], 1), array_lower('[1,2.5,3]'::vector::real[], 1);
SELECT unnest('[1,2.5,3]'::vector::real[]);
SELECT '[1,2.5,3]'::vector = ARRAY[1,2.5,3]::vector;
SELECT array_length('[1,2,3]'::vector, 1) AS implicitly;

-- limits
SELECT vector_dims(array_fill(1, ARRAY[16000])::vector);
SELECT array_fill(1, ARRAY[16001])::vector;
SELECT vector_dims(('[' || repeat('1,', 15999) || '1]')::vector);
SELECT ('[' || repeat('1,', 16000) || '1]')::vector;

-- arrays of vectors
SELECT ARRAY['[1,2]','[3]']::vector[];
SELECT '{"[1,2,3]","[4,5,6]"}'::vector(3)[];
SELECT '{"[1,2,3]"}'::vector(2)[];

-- storage: short header, plain, and out of line
CREATE TABLE stored (id int, v vector);
SELECT attstorage FROM pg_attribute WHERE attrelid = 'stored'::regclass AND attname = 'v';
INSERT INTO stored SELECT d, array_fill(d, ARRAY[d])::vector FROM unnest(ARRAY[1, 2, 30, 31, 32, 400, 2000, 16000]) d;
SELECT id, pg_column_size(v), pg_column_size(v || '[1]'), vector_dims(v), round((vector_norm(v) ^ 2 / id)::numeric, 6) AS square
  FROM stored WHERE id < 16000 ORDER BY id;
SELECT pg_column_size(v), vector_dims(v), l1_distance(v, v) FROM stored WHERE id = 16000;
SELECT count(*) FROM stored a JOIN stored b ON a.v = b.v;
DROP TABLE stored;

-- NULLs stay NULLs
SELECT NULL::vector IS NULL, NULL::vector + '[1]' IS NULL, NULL::real[]::vector IS NULL, vector_norm(NULL) IS NULL;

-- SQLSTATEs
\set VERBOSITY sqlstate
SELECT '[1'::vector;
SELECT '[]'::vector;
SELECT '[4e38]'::vector;
SELECT '[nan]'::vector;
SELECT '[inf]'::vector;
SELECT array_fill(1, ARRAY[16001])::vector;
SELECT '[1]'::vector(0);
SELECT '[1]'::vector(16001);
SELECT '[1]'::vector(1,2);
SELECT '[1]'::vector(2);
SELECT '{NULL}'::real[]::vector;
SELECT '{{1}}'::real[]::vector;
SELECT '[1]'::vector <-> '[1,2]';
SELECT '[3e38]'::vector + '[3e38]';
SELECT '[1e-30]'::vector * '[1e-30]';
SELECT subvector('[1]'::vector, 2, 1);

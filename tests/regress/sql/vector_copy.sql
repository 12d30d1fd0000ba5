-- COPY in text and binary, from every kind of storage, and what COPY must refuse.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS vector;
RESET client_min_messages;

CREATE TABLE original (id int, v vector, fixed vector(3));
INSERT INTO original VALUES (1, '[1,2,3]', '[1,2,3]'), (2, NULL, NULL), (3, '[3.4028235e38,-1.4e-45,-0]', '[0.1,1e-10,1e10]'),
  (4, array_fill(0.5, ARRAY[1000])::vector, '[1,1,1]'), (5, array_fill(-7, ARRAY[16000])::vector, '[2,2,2]');
CREATE TABLE copied (LIKE original);

-- binary, through a file
\getenv builddir PG_ABS_BUILDDIR
\set file :builddir '/results/vector_copy.bin'
\set copy_out '\\copy original TO ' :'file' ' (FORMAT binary)'
\set copy_in '\\copy copied FROM ' :'file' ' (FORMAT binary)'
:copy_out
:copy_in
SELECT count(*) AS same FROM original o JOIN copied c USING (id)
  WHERE (o.v, o.fixed)::text IS NOT DISTINCT FROM (c.v, c.fixed)::text;
SELECT vector_send(v) = (SELECT vector_send(v) FROM original WHERE id = 3) AS same_bytes FROM copied WHERE id = 3;
TRUNCATE copied;

-- text, through a file
\set copy_out '\\copy original TO ' :'file'
\set copy_in '\\copy copied FROM ' :'file'
:copy_out
:copy_in
SELECT count(*) AS same FROM original o JOIN copied c USING (id)
  WHERE (o.v, o.fixed)::text IS NOT DISTINCT FROM (c.v, c.fixed)::text;
TRUNCATE copied;
COPY (SELECT * FROM original WHERE id <= 3) TO STDOUT;
COPY (SELECT * FROM original WHERE id <= 3) TO STDOUT (FORMAT csv);
COPY copied FROM STDIN (FORMAT csv);
1,"[1,2,3]","[4,5,6]"
2,,
\.
TABLE copied;
COPY copied FROM STDIN;
3	[1]	[1,2]
\.
COPY copied FROM STDIN;
3	[1	\N
\.

-- malformed binary input: COPY files made by hand, of one row with one field
CREATE TABLE target (v vector(2));
CREATE FUNCTION file_of(field bytea) RETURNS oid LANGUAGE sql AS $$
  SELECT lo_from_bytea(0, '\x5047434f50590aff0d0a00'::bytea || int4send(0) || int4send(0)
    || int2send(1::int2) || int4send(length(field)) || field || int2send(-1::int2))
$$;
\set copy_in '\\copy target FROM ' :'file' ' (FORMAT binary)'
-- well-formed: 2 dimensions, 0, 1.0, -2.0
SELECT file_of('\x00020000 3f800000 c0000000') AS lo \gset
\lo_export :lo :file
:copy_in
SELECT * FROM target;
-- a column of other dimensions
SELECT file_of('\x00010000 3f800000') AS lo \gset
\lo_export :lo :file
:copy_in
-- no dimensions, a negative number of them, too many
SELECT file_of('\x00000000') AS lo \gset
\lo_export :lo :file
:copy_in
SELECT file_of('\xffff0000') AS lo \gset
\lo_export :lo :file
:copy_in
SELECT file_of('\x7fff0000') AS lo \gset
\lo_export :lo :file
:copy_in
-- the unused field
SELECT file_of('\x00020001 3f800000 c0000000') AS lo \gset
\lo_export :lo :file
:copy_in
-- NaN, infinity
SELECT file_of('\x00020000 3f800000 7fc00000') AS lo \gset
\lo_export :lo :file
:copy_in
SELECT file_of('\x00020000 ff800000 c0000000') AS lo \gset
\lo_export :lo :file
:copy_in
-- cut short, and too long
SELECT file_of('\x') AS lo \gset
\lo_export :lo :file
:copy_in
SELECT file_of('\x0002') AS lo \gset
\lo_export :lo :file
:copy_in
SELECT file_of('\x00020000 3f800000 c00000') AS lo \gset
\lo_export :lo :file
:copy_in
SELECT file_of('\x00020000 3f800000 c0000000 00') AS lo \gset
\lo_export :lo :file
:copy_in
SELECT * FROM target;
SELECT count(lo_unlink(oid)) FROM pg_largeobject_metadata;

DROP FUNCTION file_of;
DROP TABLE original, copied, target;

-- What is refused, and how.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

\set SHOW_CONTEXT never
CREATE TABLE wrong (id int, v vector(3), w vector, t text);

-- definitions
CREATE INDEX ON wrong USING kdtree (t);
-- Names are shown with or without the schema, which depends on the version of PostgreSQL.
\set VERBOSITY sqlstate
CREATE INDEX ON wrong USING kdtree (v, w);
\set VERBOSITY default
CREATE INDEX ON wrong USING kdtree (v) INCLUDE (id);
CREATE UNIQUE INDEX ON wrong USING kdtree (v);
CREATE INDEX ON wrong USING kdtree (v DESC);
CREATE INDEX ON wrong USING kdtree (v vector_nonsense_ops);
\set VERBOSITY sqlstate
ALTER TABLE wrong ADD EXCLUDE USING kdtree (v WITH =);
\set VERBOSITY default
CREATE INDEX wrong_v ON wrong USING kdtree (v);
CLUSTER wrong USING wrong_v;

-- dimensions of rows
CREATE INDEX wrong_w ON wrong USING kdtree (w);
INSERT INTO wrong(w) VALUES ('[1,2]');
INSERT INTO wrong(w) VALUES ('[1,2,3]');
INSERT INTO wrong(w) VALUES ('[0]');
\echo :SQLSTATE
UPDATE wrong SET w = '[1]';
\echo :SQLSTATE
DROP INDEX wrong_w;
INSERT INTO wrong(w) VALUES ('[1,2,3]');
CREATE INDEX wrong_w ON wrong USING kdtree (w);
DELETE FROM wrong;
INSERT INTO wrong(v) VALUES ('[1,2]');

-- dimensions of queries
INSERT INTO wrong(v) VALUES ('[1,2,3]');
SET enable_seqscan = off;
SELECT id FROM wrong ORDER BY v <-> '[1,2]' LIMIT 1;
\echo :SQLSTATE
SELECT id FROM wrong ORDER BY v <-> (SELECT '[1,2,3,4]'::vector) LIMIT 1;
RESET enable_seqscan;

-- looking inside: not an index, not ours, nothing at all
SELECT * FROM kdtree_stats('wrong');
\echo :SQLSTATE
CREATE INDEX wrong_id ON wrong (id);
SELECT * FROM kdtree_stats('wrong_id');
\echo :SQLSTATE
SELECT * FROM kdtree_stats('nothing');
SELECT * FROM kdtree_stats(0);
\echo :SQLSTATE
SELECT * FROM kdtree_stats(NULL);

-- looking inside: not allowed
CREATE ROLE kdtree_stranger;
CREATE ROLE kdtree_monitor IN ROLE pg_stat_scan_tables;
SET ROLE kdtree_stranger;
SELECT * FROM kdtree_stats('wrong_v');
\echo :SQLSTATE
SET ROLE kdtree_monitor;
SELECT count(*) > 0 FROM kdtree_stats('wrong_v');
RESET ROLE;
ALTER TABLE wrong OWNER TO kdtree_stranger;
SET ROLE kdtree_stranger;
SELECT count(*) > 0 FROM kdtree_stats('wrong_v');
RESET ROLE;

-- operator classes that make no sense
CREATE FUNCTION nine() RETURNS int4 LANGUAGE sql IMMUTABLE AS 'SELECT 9';
CREATE FUNCTION one(vector, vector) RETURNS int4 LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE OPERATOR CLASS bad_metric FOR TYPE vector USING kdtree AS
  OPERATOR 1 <-> FOR ORDER BY float_ops, FUNCTION 1 (vector, vector) nine();
CREATE OPERATOR CLASS bad_signature FOR TYPE vector USING kdtree AS
  OPERATOR 1 <-> FOR ORDER BY float_ops, FUNCTION 1 (vector, vector) one(vector, vector);
CREATE OPERATOR CLASS no_function FOR TYPE vector USING kdtree AS OPERATOR 1 <-> FOR ORDER BY float_ops;
CREATE OPERATOR CLASS no_operator FOR TYPE vector USING kdtree AS FUNCTION 1 (vector, vector) kdtree_metric_l2();
CREATE OPERATOR CLASS bad_purpose FOR TYPE vector USING kdtree AS
  OPERATOR 1 =, FUNCTION 1 (vector, vector) kdtree_metric_l2();
CREATE OPERATOR CLASS bad_strategy FOR TYPE vector USING kdtree AS
  OPERATOR 2 <-> FOR ORDER BY float_ops, FUNCTION 1 (vector, vector) kdtree_metric_l2();
-- values of another type than the support functions say
CREATE OPERATOR CLASS bad_type FOR TYPE halfvec USING kdtree AS
  OPERATOR 1 <-> FOR ORDER BY float_ops, FUNCTION 1 (halfvec, halfvec) kdtree_metric_l2();
CREATE OPERATOR CLASS bad_type_of_vector FOR TYPE vector USING kdtree AS
  OPERATOR 1 <-> FOR ORDER BY float_ops,
  FUNCTION 1 (vector, vector) kdtree_metric_l2(), FUNCTION 2 (vector, vector) kdtree_type_halfvec();
CREATE OPERATOR CLASS bad_type_number FOR TYPE vector USING kdtree AS
  OPERATOR 1 <-> FOR ORDER BY float_ops, FUNCTION 1 (vector, vector) kdtree_metric_l2(), FUNCTION 2 (vector, vector) nine();
SELECT opcname, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
  WHERE amname = 'kdtree' AND opcname ~ '^(bad|no)_' ORDER BY opcname COLLATE "C";
CREATE INDEX ON wrong USING kdtree (v bad_metric);
CREATE INDEX ON wrong USING kdtree (v no_function);
\echo :SQLSTATE
CREATE INDEX ON wrong USING kdtree (v bad_type_number);
\echo :SQLSTATE
CREATE INDEX ON wrong USING kdtree (v bad_type_of_vector);
\echo :SQLSTATE
CREATE INDEX ON wrong USING kdtree ((v::halfvec(3)) bad_type);
\echo :SQLSTATE
-- a metric and a type that do not go together
CREATE INDEX ON wrong USING kdtree (v halfvec_l2_ops);
CREATE INDEX ON wrong USING kdtree ((v::halfvec(3)) vector_l2_ops);
DROP OPERATOR FAMILY bad_metric USING kdtree;
DROP OPERATOR FAMILY bad_signature USING kdtree;
DROP OPERATOR FAMILY no_function USING kdtree;
DROP OPERATOR FAMILY no_operator USING kdtree;
DROP OPERATOR FAMILY bad_purpose USING kdtree;
DROP OPERATOR FAMILY bad_strategy USING kdtree;
DROP OPERATOR FAMILY bad_type USING kdtree;
DROP OPERATOR FAMILY bad_type_of_vector USING kdtree;
DROP OPERATOR FAMILY bad_type_number USING kdtree;
DROP FUNCTION nine(), one(vector, vector);

DROP TABLE wrong;
DROP ROLE kdtree_stranger, kdtree_monitor;

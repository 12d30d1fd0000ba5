-- Metrics, dimensions and values.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

-- every metric at several dimensions, uniform data
CREATE TABLE many (id int, v vector);
DO $$
DECLARE
  dims int;
BEGIN
  FOREACH dims IN ARRAY ARRAY[1, 2, 3, 7, 8, 9, 16, 17, 64, 100, 768, 2000, 2001] LOOP
    EXECUTE format('CREATE TABLE many_%s (id int, v vector(%s))', dims, dims);
    EXECUTE format('INSERT INTO many_%s SELECT i, pg_temp.kd_vector(i, %s) FROM generate_series(1, %s) i', dims, dims, 20000 / (dims + 20) + 20);
    EXECUTE format('CREATE INDEX many_%s_l2 ON many_%s USING kdtree (v)', dims, dims);
    EXECUTE format('CREATE INDEX many_%s_cosine ON many_%s USING kdtree (v vector_cosine_ops)', dims, dims);
    EXECUTE format('CREATE INDEX many_%s_ip ON many_%s USING kdtree (v vector_ip_ops)', dims, dims);
    EXECUTE format('INSERT INTO many_%s SELECT i, pg_temp.kd_vector(i, %s) FROM generate_series(10001, 10010) i', dims, dims);
  END LOOP;
END
$$;
SELECT dims, operator, pg_temp.kd_compare(format($$SELECT v %s (SELECT pg_temp.kd_vector(0, %s)) AS d FROM many_%s ORDER BY 1 LIMIT 30$$, operator, dims, dims))
  FROM unnest(ARRAY[1, 2, 3, 7, 8, 9, 16, 17, 64, 100, 768, 2000, 2001]) dims, unnest(ARRAY['<->', '<=>', '<#>']) operator;

-- 16,000 dimensions
CREATE TABLE widest (id int, v vector(16000));
INSERT INTO widest SELECT i, pg_temp.kd_vector(i, 16000) FROM generate_series(1, 20) i;
CREATE INDEX widest_v ON widest USING kdtree (v);
INSERT INTO widest SELECT i, pg_temp.kd_vector(i, 16000) FROM generate_series(21, 23) i;
SELECT * FROM pg_temp.kd_parts('widest_v');
SELECT pg_temp.kd_compare($$SELECT id, v <-> (SELECT pg_temp.kd_vector(0, 16000)) AS d FROM widest ORDER BY 2$$);

-- cosine: zero vectors have no distance (NaN), and come before NULL
CREATE TABLE zeros (id int, v vector(3));
INSERT INTO zeros SELECT i, pg_temp.kd_vector(i, 3) FROM generate_series(1, 300) i;
INSERT INTO zeros VALUES (301, '[0,0,0]'), (302, NULL), (303, '[-0,0,0]');
CREATE INDEX zeros_v ON zeros USING kdtree (v vector_cosine_ops);
INSERT INTO zeros VALUES (304, '[0,0,0]'), (305, NULL), (306, '[1e-30,0,0]');
SELECT * FROM pg_temp.kd_parts('zeros_v');
SELECT pg_temp.kd_compare($$SELECT v <=> '[1,2,3]' AS d FROM zeros ORDER BY 1$$);
SELECT pg_temp.kd_compare($$SELECT v <=> '[1,2,3]' AS d FROM zeros ORDER BY 1 OFFSET 300$$);
-- a zero vector as query: all distances are NaN
SELECT pg_temp.kd_compare($$SELECT v <=> '[0,0,0]' AS d FROM zeros ORDER BY 1$$);
SET enable_seqscan = off;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM zeros ORDER BY v <=> '[0,0,0]' LIMIT 100000) q;
RESET enable_seqscan;

-- values at the ends of single precision: distances that overflow or vanish
CREATE TABLE extreme (id int, v vector(4));
INSERT INTO extreme SELECT row_number() OVER (), format('[1e%s,2e%s,-1e%s,%s]', e, -e, e / 2, e)::vector FROM generate_series(-37, 37) e;
INSERT INTO extreme VALUES (100, '[3e38,3e38,3e38,3e38]'), (101, '[-3e38,-3e38,-3e38,-3e38]'), (102, '[1e-45,0,0,0]'), (103, '[0,0,0,0]');
CREATE INDEX extreme_l2 ON extreme USING kdtree (v);
CREATE INDEX extreme_cosine ON extreme USING kdtree (v vector_cosine_ops);
CREATE INDEX extreme_ip ON extreme USING kdtree (v vector_ip_ops);
INSERT INTO extreme SELECT id + 1000, v FROM extreme;
SELECT operator, query, pg_temp.kd_compare(format($$SELECT v %s %L AS d FROM extreme ORDER BY 1$$, operator, query))
  FROM unnest(ARRAY['<->', '<=>', '<#>']) operator,
       unnest(ARRAY['[1,1,1,1]', '[3e38,3e38,3e38,3e38]', '[1e-45,0,0,0]', '[0,0,0,0]', '[1e18,-1e18,1e18,0]', '[1e-20,1e-20,0,1e-20]']) query;

-- many equal vectors, and few distinct values
CREATE TABLE equal (id int, v vector(6));
INSERT INTO equal SELECT i, '[1,1,1,1,1,1]' FROM generate_series(1, 3000) i;
INSERT INTO equal SELECT i, ARRAY[i % 2, i % 3, 0, 0, 1, i % 2]::vector FROM generate_series(3001, 5000) i;
CREATE INDEX equal_v ON equal USING kdtree (v);
SELECT pg_temp.kd_compare($$SELECT v <-> '[1,1,1,1,1,1]' AS d FROM equal ORDER BY 1$$);
SELECT pg_temp.kd_compare($$SELECT v <-> '[1,0,0,0,1,0.5]' AS d FROM equal ORDER BY 1 LIMIT 700$$);

-- short values (one-byte header), values out of line, domains
CREATE DOMAIN embedding AS vector(3) CHECK (vector_norm(VALUE) < 100);
CREATE TABLE domains (id int, v embedding);
INSERT INTO domains SELECT i, pg_temp.kd_vector(i, 3) FROM generate_series(1, 100) i;
CREATE INDEX domains_v ON domains USING kdtree (v);
SELECT pg_temp.kd_compare($$SELECT id, v <-> '[0,0,0]' AS d FROM domains ORDER BY v <-> '[0,0,0]'$$);

DO $$
DECLARE
  dims int;
BEGIN
  FOREACH dims IN ARRAY ARRAY[1, 2, 3, 7, 8, 9, 16, 17, 64, 100, 768, 2000, 2001] LOOP
    EXECUTE format('DROP TABLE many_%s', dims);
  END LOOP;
END
$$;
DROP TABLE many, widest, zeros, extreme, equal, domains;
DROP DOMAIN embedding;

-- Attributes: columns behind the vector, by which an index filters rows before it reads them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE goods (id int PRIMARY KEY, v vector(6), tenant int, price float4, name text, token uuid, sold bool, day date);
INSERT INTO goods SELECT i, pg_temp.kd_vector(i, 6), nullif(i % 20, 0), i % 100, 'name ' || i % 50, md5((i % 30)::text)::uuid,
    i % 3 = 0, date '2026-01-01' + i % 365 FROM generate_series(1, 3000) i;
CREATE INDEX goods_v ON goods USING kdtree (v, tenant, price, name, token, day, (sold::int));
INSERT INTO goods SELECT i, pg_temp.kd_vector(i, 6), nullif(i % 20, 0), i % 100, 'name ' || i % 50, md5((i % 30)::text)::uuid,
    i % 3 = 0, date '2026-01-01' + i % 365 FROM generate_series(3001, 3100) i;
-- in lists of their own: an index has no attributes of these
INSERT INTO goods VALUES (4001, NULL, 7, 5, 'none', NULL, true, NULL), (4002, '[1e20,0,0,0,0,0]', 7, 5, 'far', NULL, true, NULL),
    (4003, NULL, 8, NULL, NULL, NULL, NULL, NULL), (4004, '[0,1e20,0,0,0,0]', 8, NULL, NULL, NULL, NULL, NULL);
ANALYZE goods;
SELECT kind, vectors FROM kdtree_stats('goods_v') WHERE vectors > 0;
SELECT * FROM kdtree_check('goods_v', true);

-- what becomes a condition of the index
SET enable_seqscan = off;
SET enable_sort = off;
CREATE FUNCTION pg_temp.conditions(condition text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) SELECT id FROM goods WHERE ' || condition || ' ORDER BY v <-> ''[1,2,3,4,5,6]'' LIMIT 5' LOOP
        IF line ~ 'Index Cond|Filter|Index Scan|Sort' THEN RETURN NEXT trim(line); END IF;
    END LOOP;
END $$;
SELECT pg_temp.conditions('tenant = 7 AND price < 50 AND day >= ''2026-03-01''');
SELECT pg_temp.conditions('tenant = 7::int8 AND 10::float8 <= price');
SELECT pg_temp.conditions('tenant IN (7, 8) AND name = ANY (ARRAY[''name 7'', ''name 8'', NULL])');
SELECT pg_temp.conditions('tenant BETWEEN 3 AND 5 AND token = md5(''7'')::uuid');
SELECT pg_temp.conditions('sold::int = 1');
SELECT pg_temp.conditions('l2_within(v, ''[1,2,3,4,5,6]'', 3) AND tenant = 7');
-- and what does not
SELECT pg_temp.conditions('name < ''name 7''');
SELECT pg_temp.conditions('tenant IS NULL');
SELECT pg_temp.conditions('tenant <> 7');
SELECT pg_temp.conditions('tenant NOT IN (7, 8)');
SELECT pg_temp.conditions('price = 10.5');
SELECT pg_temp.conditions('tenant = 7 OR price < 3');

-- answers
CREATE FUNCTION pg_temp.same(condition text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.kd_compare('SELECT id, v <-> ''[1,2,3,4,5,6]'' AS d FROM goods WHERE ' || condition || ' ORDER BY v <-> ''[1,2,3,4,5,6]''')
$$;
SELECT condition, pg_temp.same(condition) FROM unnest(ARRAY[
    'tenant = 7', 'tenant = 7 AND price < 50', 'tenant > 15 AND tenant <= 17', 'price >= 99', 'name = ''name 7''',
    'token = md5(''7'')::uuid', 'token < md5(''7'')::uuid', 'tenant IN (7, 8, NULL, 700)', 'price > 6 AND price < 5',
    'day = ''2026-02-01''', 'tenant < -5', 'price > ''NaN''', 'price <= ''NaN''', 'sold::int = 0', 'tenant = 8'])
    WITH ORDINALITY AS conditions(condition, place) ORDER BY place;

-- the index decides: no row is read in vain but those of the lists
SELECT count(*) FROM (SELECT id FROM goods WHERE tenant = 9 ORDER BY v <-> '[1,2,3,4,5,6]') found;
SELECT rows FROM kdtree_last_scan();
-- nothing matches, nothing is looked at
SELECT id FROM goods WHERE price > 6 AND price < 5 ORDER BY v <-> '[1,2,3,4,5,6]';
SELECT leaves_visited, rows FROM kdtree_last_scan();

-- changes
UPDATE goods SET tenant = 100 WHERE id % 10 = 1;
DELETE FROM goods WHERE id % 10 = 2;
VACUUM goods;
SELECT pg_temp.same('tenant = 100 AND price < 50');
SELECT kdtree_merge('goods_v');
SELECT pg_temp.same('tenant = 100 AND price < 50');
SELECT pg_temp.same('tenant = 9');
SELECT * FROM kdtree_check('goods_v', true);
REINDEX INDEX goods_v;
SELECT pg_temp.same('tenant = 100 AND price < 50');
SELECT * FROM kdtree_check('goods_v', true);

-- an attribute alone is left to other indexes
SET enable_seqscan = on;

EXPLAIN (COSTS OFF) SELECT id FROM goods WHERE tenant = 7;
SET enable_seqscan = off;
-- but answered, where nothing else may be used
SELECT count(*) FROM goods WHERE tenant = 7;
SELECT count(*) FROM goods;

-- properties
SELECT a, name, pg_index_column_has_property('goods_v', a, name)
  FROM generate_series(1, 2) a, unnest(ARRAY['distance_orderable', 'search_array', 'search_nulls', 'orderable']) name;

-- many attributes
CREATE TABLE wide (v vector(2), a int, b int8, c int2, d float8, e timestamptz, f time, g "char", h oid, i timestamp, j varchar(5));
CREATE INDEX wide_v ON wide USING kdtree (v vector_ip_ops, a, b, c, d, e, f, g, h, i, j);
INSERT INTO wide VALUES ('[1,2]', 1, 1, 1, 1, '2026-01-01', '12:00', 'x', 7, '2026-01-01', 'five');
SELECT a FROM wide WHERE a = 1 AND b = 1 AND c = 1 AND d = 1 AND e = '2026-01-01' AND f = '12:00' AND g = 'x' AND h = 7 AND i = '2026-01-01'
  AND j = 'five' ORDER BY v <#> '[1,1]';
DROP TABLE wide;

-- what is refused
CREATE INDEX ON goods USING kdtree (tenant, v);
CREATE INDEX ON goods USING kdtree (tenant);
\set VERBOSITY sqlstate
CREATE INDEX ON goods USING kdtree (v, v);
\set VERBOSITY default
CREATE INDEX ON goods USING kdtree (v, sold);
CREATE INDEX ON goods USING kdtree (v) INCLUDE (tenant);
CREATE OPERATOR CLASS numeric_ops FOR TYPE numeric USING kdtree AS OPERATOR 7 =;
CREATE TABLE exact (v vector(2), n numeric);
CREATE INDEX ON exact USING kdtree (v, n numeric_ops);
DROP TABLE exact;
\set VERBOSITY terse
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'numeric_ops' AND opcmethod = (SELECT oid FROM pg_am WHERE amname = 'kdtree');
DROP OPERATOR FAMILY numeric_ops USING kdtree;
CREATE OPERATOR CLASS wrong_ops FOR TYPE text USING kdtree AS OPERATOR 5 <, OPERATOR 7 =;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'wrong_ops';
DROP OPERATOR FAMILY wrong_ops USING kdtree;
CREATE OPERATOR CLASS wrong_ops FOR TYPE int4 USING kdtree AS OPERATOR 5 <, OPERATOR 2 =, FUNCTION 1 kdtree_metric_l2();
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'wrong_ops';
DROP OPERATOR FAMILY wrong_ops USING kdtree;
DROP TABLE goods;

-- Everything within a distance of a bit string or a sparse vector.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

-- The rows that one kind of scan finds; and whether all kinds find the same.
CREATE FUNCTION pg_temp.found(query text, enabled text) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
    method text;
    ids int[];
BEGIN
    FOREACH method IN ARRAY ARRAY['seqscan', 'bitmapscan', 'indexscan'] LOOP
        PERFORM set_config('enable_' || method, (method = enabled)::text, true);
    END LOOP;
    EXECUTE 'SELECT array_agg(id ORDER BY id) FROM ' || query INTO ids;
    RETURN coalesce(ids, '{}');
END $$;
CREATE FUNCTION pg_temp.compare(query text, OUT rows int, OUT bitmap_scan boolean, OUT index_scan boolean)
LANGUAGE sql AS $$
    SELECT cardinality(pg_temp.found(query, 'seqscan')),
        pg_temp.found(query, 'bitmapscan') = pg_temp.found(query, 'seqscan'),
        pg_temp.found(query, 'indexscan') = pg_temp.found(query, 'seqscan')
$$;

-- Bit strings
CREATE TABLE prints (id int PRIMARY KEY, tenant int, e bit(70));
INSERT INTO prints SELECT i, i % 5,
    (SELECT string_agg(CASE WHEN hashint8(i::int8 * 100003 + b) & 7 < i % 9 THEN '1' ELSE '0' END, '' ORDER BY b)
     FROM generate_series(1, 70) b)::bit(70)
FROM generate_series(1, 1500) i;
INSERT INTO prints VALUES (2001, 1, NULL), (2002, 2, 0::bit(70)), (2003, 3, ~0::bit(70));
CREATE INDEX prints_hamming ON prints USING kdtree (e);
CREATE INDEX prints_jaccard ON prints USING kdtree (e bit_jaccard_ops, tenant);
-- into the delta
INSERT INTO prints SELECT id + 3000, tenant, e FROM prints WHERE id <= 200;
DELETE FROM prints WHERE id % 7 = 0;
SELECT e AS q FROM prints WHERE id = 22 \gset
SELECT condition, pg_temp.compare('prints WHERE ' || replace(condition, 'Q', quote_literal(:'q'))) FROM unnest(ARRAY[
    'hamming_within(e, Q, 0)',
    'hamming_within(Q, e, 9)',
    'hamming_within(e, Q, 29.5)',
    'hamming_within(e, Q, 29.999999999)',
    'hamming_within(e, Q, -1)',
    'hamming_within(e, Q, 1e300)',
    'hamming_within(e, Q, ''Infinity'')',
    'hamming_within(e, Q, ''-Infinity'')',
    'hamming_within(e, Q, ''NaN'')',
    'hamming_within(e, Q, NULL)',
    'hamming_within(e, Q, 30) AND hamming_within(e, 0::bit(70), 30)',
    'hamming_within(e, Q, 30) AND tenant = 3',
    'hamming_within(e, Q, 30) AND jaccard_within(e, Q, 0.5)',
    'jaccard_within(e, Q, 0)',
    'jaccard_within(e, Q, 1 - 0.1::float4)',
    'jaccard_within(e, Q, (SELECT e <%> Q FROM prints WHERE id = 100))',
    'jaccard_within(e, Q, (SELECT (e <%> Q) - 1e-16 FROM prints WHERE id = 100))',
    'jaccard_within(e, Q, 1)',
    'jaccard_within(e, 0::bit(70), 0.99)',
    'jaccard_within(e, Q, 0.6) AND tenant IN (1, 2)',
    'e <<~> ROW(Q, 20)::bit_range',
    'e <<%> ROW(Q, 0.5)::bit_range',
    'e <<~> ROW(NULL, 20)::bit_range'
]) condition;
SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM prints WHERE hamming_within(e, 5::bit(70), 20);
EXPLAIN (COSTS OFF) SELECT id FROM prints WHERE hamming_within(e, 5::bit(70), 20) ORDER BY e <~> 5::bit(70) LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM prints WHERE jaccard_within(e, 5::bit(70), 0.5) AND tenant = 1 ORDER BY e <%> 5::bit(70);
-- for each row of another table
SELECT a.id, count(*) FROM prints a JOIN prints b ON hamming_within(b.e, a.e, 25) WHERE a.id IN (16, 22, 2003) GROUP BY 1 ORDER BY 1;
-- in order, up to the radius, and by the distance from another
SELECT pg_temp.kd_compare(format('SELECT id, e <~> %1$L AS d FROM prints WHERE hamming_within(e, %1$L, 30) ORDER BY d', :'q'));
SELECT pg_temp.kd_compare(format('SELECT id, e <~> 0::bit(70) AS d FROM prints WHERE hamming_within(e, %L, 30) ORDER BY d', :'q'));
SELECT pg_temp.kd_compare(format('SELECT id, e <%%> %1$L AS d FROM prints WHERE jaccard_within(e, %1$L, 0.7) ORDER BY d', :'q'));
SELECT id FROM prints WHERE hamming_within(e, B'101', 1);
RESET enable_seqscan;
RESET enable_sort;
SELECT hamming_within(B'1100', B'1010', 2) AS two, hamming_within(B'1100', B'1010', 1.99) AS less,
    jaccard_within(B'1100', B'1010', 2 / 3.0) AS jaccard, jaccard_within(B'0', B'0', 1) AS none,
    hamming_within(NULL, B'1', 1) AS "null";
SELECT hamming_within(B'1', B'10', 1);

-- Sparse vectors: one that is too large for bounds, one without a direction
CREATE TABLE documents (id int PRIMARY KEY, tenant int, e sparsevec(1000));
INSERT INTO documents SELECT i, i % 5, (
    SELECT format('{%s}/1000', string_agg(index || ':' || value, ','))::sparsevec FROM (
        SELECT DISTINCT ON (index) 1 + (hashint8(i::int8 * 1009 + n) & 63) AS index,
            (hashint8(i::int8 * 7919 + n) & 255) / 64.0 - 2.01 AS value
        FROM generate_series(1, i % 40) n) elements)
FROM generate_series(1, 1200) i;
INSERT INTO documents VALUES (2001, 1, NULL), (2002, 2, '{}/1000'), (2003, 3, '{1:1e30}/1000');
CREATE INDEX documents_l2 ON documents USING kdtree (e);
CREATE INDEX documents_ip ON documents USING kdtree (e sparsevec_ip_ops, tenant);
CREATE INDEX documents_cosine ON documents USING kdtree (e sparsevec_cosine_ops);
CREATE INDEX documents_l1 ON documents USING kdtree (e sparsevec_l1_ops);
INSERT INTO documents SELECT id + 3000, tenant, e FROM documents WHERE id <= 200;
SELECT e AS q FROM documents WHERE id = 37 \gset
SELECT function, radius, pg_temp.compare(format('documents WHERE %s(e, %L, %s)', function, :'q', radius))
FROM (VALUES ('l2_within', '<->'), ('cosine_within', '<=>'), ('negative_inner_product_within', '<#>'), ('l1_within', '<+>'))
    functions(function, operator),
LATERAL unnest(ARRAY['0', '-1', '1e300', '''Infinity''', '''-Infinity''', '''NaN''', 'NULL',
    format('(SELECT e %s %L FROM documents WHERE id = 100)', operator, '{1:1}/1000'),
    format('(SELECT (e %s %L) FROM documents WHERE id = 111)', operator, '{2:1,5:3}/1000')]) radius;
SELECT condition, pg_temp.compare('documents WHERE ' || replace(condition, 'Q', quote_literal(:'q'))) FROM unnest(ARRAY[
    'l2_within(e, ''{1:1e30}/1000'', 1)',
    'l2_within(e, ''{1:1e30}/1000'', ''NaN'')',
    'cosine_within(e, ''{}/1000'', 2)',
    'cosine_within(e, ''{}/1000'', ''NaN'')',
    'negative_inner_product_within(e, Q, -3) AND tenant = 2',
    'l2_within(e, Q, 5) AND cosine_within(e, Q, 0.9)',
    'e <<-> ROW(Q, 5)::sparsevec_range AND e <<=> ROW(Q, 0.95)::sparsevec_range',
    'e <<#> ROW(Q, -2)::sparsevec_range AND e <<+> ROW(Q, 40)::sparsevec_range'
]) condition;
SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM documents WHERE l2_within(e, '{1:1}/1000', 2) ORDER BY e <-> '{1:1}/1000';
SELECT pg_temp.kd_compare(format('SELECT id, e %1$s %2$L AS d FROM documents WHERE %3$s(e, %2$L, %4$s) ORDER BY d', operator, :'q', function, radius))
FROM (VALUES ('l2_within', '<->', 5), ('cosine_within', '<=>', 0.9), ('negative_inner_product_within', '<#>', -2), ('l1_within', '<+>', 30))
    functions(function, operator, radius);
SELECT id FROM documents WHERE l2_within(e, '{1:1}/999', 1);
RESET enable_seqscan;
RESET enable_sort;
SELECT l1_within('{1:1}/3'::sparsevec, '{2:1.5}/3', 2.5) AS exactly, l1_within('{1:1}/3'::sparsevec, '{2:1.5}/3', 2.4999) AS less;
DROP TABLE prints, documents;

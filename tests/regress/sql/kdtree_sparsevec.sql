-- Sparse vectors: all four distances, with the index and without.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

CREATE FUNCTION pg_temp.kd_sparse(i int) RETURNS sparsevec LANGUAGE sql IMMUTABLE AS $$
  SELECT ('{' || coalesce(string_agg(index || ':' || value, ','), '') || '}/1000')::sparsevec FROM (
    SELECT DISTINCT ON (index) 1 + (hashint8(i::int8 * 1009 + n) & 1023) % (100 + i) AS index, (hashint8(i::int8 * 7919 + n) & 255) / 64.0 - 2.01 AS value
    FROM generate_series(1, i % 40) n) elements WHERE index <= 1000
$$;

CREATE TABLE documents (id int PRIMARY KEY, tenant int, e sparsevec(1000));
INSERT INTO documents SELECT i, i % 5, pg_temp.kd_sparse(i) FROM generate_series(1, 1200) i;
INSERT INTO documents VALUES (2001, 1, NULL), (2002, 2, '{}/1000'), (2003, 3, '{1:1e30}/1000'), (2004, 4, '{1000:1e-30}/1000');
CREATE INDEX documents_l2 ON documents USING kdtree (e);
CREATE INDEX documents_ip ON documents USING kdtree (e sparsevec_ip_ops);
CREATE INDEX documents_cosine ON documents USING kdtree (e sparsevec_cosine_ops, tenant);
CREATE INDEX documents_l1 ON documents USING kdtree (e sparsevec_l1_ops);
-- into the delta
INSERT INTO documents SELECT i, i % 5, pg_temp.kd_sparse(i) FROM generate_series(3001, 3200) i;
DELETE FROM documents WHERE id % 7 = 0;
SELECT kind, vectors, dims, metric FROM kdtree_stats('documents_cosine') WHERE vectors > 0;
SELECT pg_temp.kd_sparse(37) AS q \gset
SELECT operator, pg_temp.kd_compare(format('SELECT id, e %s %L AS d FROM documents ORDER BY d', operator, :'q')) AS "all",
    pg_temp.kd_compare(format('SELECT e %s %L AS d FROM documents ORDER BY d LIMIT 10', operator, :'q')) AS ten
FROM unnest(ARRAY['<->', '<#>', '<=>', '<+>']) operator;
-- queries that no row has a bounded distance from
SELECT operator, pg_temp.kd_compare(format('SELECT id, e %s ''{2:1e30}/1000'' AS d FROM documents ORDER BY d', operator)) AS far,
    pg_temp.kd_compare(format('SELECT id, e %s ''{}/1000'' AS d FROM documents ORDER BY d', operator)) AS zero
FROM unnest(ARRAY['<->', '<#>', '<=>', '<+>']) operator;
SELECT pg_temp.kd_compare(format('SELECT id, e <=> %L AS d FROM documents WHERE tenant = 3 ORDER BY d', :'q'));
VACUUM documents;
SELECT kdtree_merge(index) FROM unnest('{documents_l2,documents_ip,documents_cosine,documents_l1}'::regclass[]) index;
SELECT kind, vectors, dead, fine_bytes FROM kdtree_stats('documents_cosine') WHERE vectors > 0;
SELECT operator, pg_temp.kd_compare(format('SELECT id, e %s %L AS d FROM documents ORDER BY d', operator, :'q')) AS "all"
FROM unnest(ARRAY['<->', '<#>', '<=>', '<+>']) operator;
SELECT pg_temp.kd_compare(format('SELECT id, e <=> %L AS d FROM documents WHERE tenant >= 3 ORDER BY d', :'q'));
SELECT measured, mean FROM kdtree_recall('documents_l2');
SELECT * FROM kdtree_recall('documents_l2', ARRAY['[1,2,3]']::vector[]);

-- what does not fit
SELECT id FROM documents ORDER BY e <-> '{1:1}/999' LIMIT 1;
CREATE TABLE loose (e sparsevec, a int8, b int8, c int8);
CREATE INDEX loose_e ON loose USING kdtree (e);
INSERT INTO loose VALUES ('{1:1}/5'), (NULL), ('{1:1}/6');
INSERT INTO loose VALUES ('{1:1}/5'), (NULL);
INSERT INTO loose VALUES ('{1:1}/6');
TRUNCATE loose;
INSERT INTO loose SELECT ('{' || string_agg(i || ':' || i, ',') || '}/16000')::sparsevec FROM generate_series(1, 1000) i;
INSERT INTO loose SELECT ('{' || string_agg(i || ':' || i, ',') || '}/16000')::sparsevec FROM generate_series(1, 1001) i;
SELECT ('{' || string_agg(i || ':' || i, ',') || '}/16000') AS q FROM generate_series(1, 1500) i \gset
SELECT pg_temp.kd_compare(format('SELECT e <-> %L AS d FROM loose ORDER BY d', :'q'));
CREATE INDEX ON loose USING kdtree (e sparsevec_ip_ops);
SELECT pg_temp.kd_compare(format('SELECT e <#> %L AS d FROM loose ORDER BY d', :'q'));
CREATE INDEX ON loose USING kdtree (e, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a);
DROP TABLE loose, documents;

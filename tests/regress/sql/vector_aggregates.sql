-- avg and sum, alone and in parallel, and the functions under them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS vector;
RESET client_min_messages;

SELECT avg(v), sum(v) FROM unnest(ARRAY['[1,2,3]', '[3,5,7]']::vector[]) v;
SELECT avg(v), sum(v) FROM unnest(ARRAY['[1,2,3]', '[3,5,7]', NULL]::vector[]) v;
SELECT avg(v), sum(v) FROM unnest(ARRAY[]::vector[]) v;
SELECT avg(v), sum(v) FROM unnest(ARRAY[NULL]::vector[]) v;
SELECT avg(v), sum(v) FROM unnest(ARRAY['[1,2]', '[3]']::vector[]) v;
SELECT avg(v) FROM unnest(ARRAY['[1,2]', '[3]']::vector[]) v;
SELECT avg(v) FROM unnest(ARRAY['[3e38]', '[3e38]']::vector[]) v;
SELECT sum(v) FROM unnest(ARRAY['[3e38]', '[3e38]']::vector[]) v;
SELECT vector_dims(avg(v)) FROM unnest(ARRAY[array_fill(1, ARRAY[16000])::vector]) v;

-- groups, windows, DISTINCT, FILTER
CREATE TABLE grouped AS
  SELECT g, ('[' || g || ',' || n || ',' || n % 7 || ']')::vector AS v FROM generate_series(1, 3) g, generate_series(1, 1000) n;
SELECT g, avg(v), sum(v) FROM grouped GROUP BY g ORDER BY g;
SELECT avg(DISTINCT v) FROM (VALUES ('[1]'::vector), ('[1]'), ('[4]')) s (v);
SELECT avg(v) FILTER (WHERE g > 1), sum(v) FILTER (WHERE g > 3) FROM grouped;
SELECT v, avg(v) OVER w, sum(v) OVER w FROM (VALUES ('[1]'::vector), ('[2]'), ('[3]'), ('[6]')) s (v)
  WINDOW w AS (ORDER BY v ROWS BETWEEN 1 PRECEDING AND CURRENT ROW);
SELECT v, avg(v) OVER (ORDER BY v) FROM (VALUES ('[1]'::vector), ('[2]'), ('[3]'), ('[6]')) s (v);

-- partial aggregates in workers
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT avg(v), sum(v) FROM grouped;
SELECT avg(v), sum(v) FROM grouped;
SELECT avg(v), sum(v) FROM grouped WHERE g > 3;
SELECT g, avg(v), sum(v) FROM grouped GROUP BY g ORDER BY g;
COMMIT;
DROP TABLE grouped;

-- the support functions, called as functions
SELECT vector_accum('{0}', '[1,2,3]');
SELECT vector_accum('{1,1,2,3}', '[1,2,3]'), vector_accum('{1,1,2,3}', '[1,2,3]');
SELECT vector_accum('{1,1,2,3}', '[1,2]');
SELECT vector_accum('{}', '[1]');
SELECT vector_accum('{NULL}', '[1]');
SELECT vector_accum('{{1,2}}', '[1]');
SELECT vector_accum('{1,Infinity}', '[1]');
-- the state of a call is not changed in place
SELECT s, vector_accum(s, '[1]'), s FROM (VALUES ('{1,1}'::float8[])) t (s);

SELECT vector_combine('{0}', '{0}'), vector_combine('{1,1,2}', '{0}'), vector_combine('{0}', '{1,1,2}'), vector_combine('{1,1,2}', '{2,3,4}');
SELECT vector_combine('{1,1,2}', '{1,1}');
SELECT vector_combine('{}', '{1,1}');
SELECT vector_combine('{1,1e308}', '{1,1e308}');

SELECT vector_avg('{0}'), vector_avg('{2,1,3}');
SELECT vector_avg('{1}');
SELECT vector_avg('{}');
SELECT vector_avg('{1,1e39}');
SELECT vector_avg('{1,NaN}');
SELECT vector_avg(array_fill(1::float8, ARRAY[16002]));

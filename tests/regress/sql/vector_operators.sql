-- Distance operators, arithmetic and comparison.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS vector;
RESET client_min_messages;

-- L2
SELECT '[0,0]'::vector <-> '[3,4]', '[0,0]'::vector <-> '[0,1]', '[1,2]'::vector <-> '[1,2]';
SELECT '[3e38]'::vector <-> '[-3e38]' AS overflow;
SELECT '[1e-30]'::vector <-> '[2e-30]' AS underflow;
SELECT '[1,2]'::vector <-> '[3]';
SELECT '[1,2]'::vector <-> NULL;

-- negative inner product
SELECT '[1,2]'::vector <#> '[3,4]', '[1,2]'::vector <#> '[-3,-4]', '[3e38]'::vector <#> '[3e38]';
SELECT '[1,2]'::vector <#> '[3]';

-- cosine
SELECT '[1,2]'::vector <=> '[2,4]', '[1,0]'::vector <=> '[0,2]', '[1,1]'::vector <=> '[-1,-1]';
SELECT '[1,2]'::vector <=> '[0,0]', '[0,0]'::vector <=> '[0,0]';
-- rounding does not leave [0, 2]
SELECT '[1,1]'::vector <=> '[1.1,1.1]', '[1,1]'::vector <=> '[-1.1,-1.1]';
SELECT '[3e38]'::vector <=> '[3e38]' AS overflow, '[1e-30]'::vector <=> '[1e-30]' AS underflow;
SELECT '[1,2]'::vector <=> '[3]';

-- L1
SELECT '[0,0]'::vector <+> '[3,4]', '[0,0]'::vector <+> '[0,-1]', '[3e38]'::vector <+> '[-3e38]';
SELECT '[1,2]'::vector <+> '[3]';

-- every length from 1 to 67, and long ones, against arithmetic in double precision
SELECT setseed(0.5);
CREATE TEMP TABLE pairs AS
  SELECT d, array_agg(random()::real - 0.5 ORDER BY i)::real[] AS a, array_agg(random()::real - 0.5 ORDER BY i)::real[] AS b
  FROM (SELECT generate_series(1, 67) UNION ALL VALUES (128), (1000), (16000)) dims (d), generate_series(1, d) i GROUP BY d;
CREATE TEMP TABLE expected AS
  SELECT d, a::vector AS a, b::vector AS b, s.* FROM pairs, LATERAL (
    SELECT sqrt(sum((x::float8 - y) ^ 2)) AS l2, sum(x::float8 * y) AS dot, sum(abs(x::float8 - y)) AS l1,
      sum(x::float8 ^ 2) AS norm_a, sum(y::float8 ^ 2) AS norm_b
    FROM unnest(a, b) AS u (x, y)) s;
SELECT count(*) AS pairs, count(*) FILTER (WHERE abs((a <-> b) - l2) > 1e-5 * l2) AS l2,
    count(*) FILTER (WHERE abs((a <#> b) + dot) > 1e-5 * sqrt(norm_a * norm_b)) AS inner_product,
    count(*) FILTER (WHERE abs((a <=> b) - (1 - dot / sqrt(norm_a * norm_b))) > 1e-5) AS cosine,
    count(*) FILTER (WHERE abs((a <+> b) - l1) > 1e-5 * l1) AS l1,
    count(*) FILTER (WHERE (a <-> b) <> (b <-> a) OR (a <#> b) <> (b <#> a) OR (a <=> b) <> (b <=> a)
      OR (a <+> b) <> (b <+> a)) AS asymmetric
  FROM expected;

-- arithmetic
SELECT '[1,2,3]'::vector + '[4,5,6]', '[1,2,3]'::vector - '[4,5,6]', '[1,2,3]'::vector * '[4,5,6]';
SELECT '[1,2]'::vector || '[3]', '[1]'::vector || '[2,3]' || '[4]';
SELECT '[1,2]'::vector + '[3]';
SELECT '[1,2]'::vector - '[3]';
SELECT '[1,2]'::vector * '[3]';
SELECT '[3e38]'::vector + '[3e38]';
SELECT '[-3e38]'::vector - '[3e38]';
SELECT '[1e37]'::vector * '[1e37]';
SELECT '[1e-37]'::vector * '[1e-37]';
SELECT '[1e-37,0]'::vector * '[0,1e-37]', '[1e-20]'::vector * '[1e-20]' AS denormal;
SELECT '[1.1e-38]'::vector - '[1e-38]' AS denormal;
SELECT array_fill(1, ARRAY[16000])::vector || '[1]';

-- comparison: by element, then by length
SELECT '[1,2,3]'::vector < '[1,2,3]', '[1,2,3]'::vector < '[1,2]', '[1,2]'::vector < '[1,2,3]', '[1,3]'::vector < '[1,2,3]';
SELECT '[1,2,3]'::vector <= '[1,2,3]', '[1,2,3]'::vector <= '[1,2]', '[1,2]'::vector <= '[1,2,3]', '[1,3]'::vector <= '[1,2,3]';
SELECT '[1,2,3]'::vector = '[1,2,3]', '[1,2,3]'::vector = '[1,2]', '[0]'::vector = '[-0]';
SELECT '[1,2,3]'::vector <> '[1,2,3]', '[1,2,3]'::vector <> '[1,2]', '[0]'::vector <> '[-0]';
SELECT '[1,2,3]'::vector >= '[1,2,3]', '[1,2,3]'::vector >= '[1,2]', '[1,2]'::vector >= '[1,2,3]', '[1,3]'::vector >= '[1,2,3]';
SELECT '[1,2,3]'::vector > '[1,2,3]', '[1,2,3]'::vector > '[1,2]', '[1,2]'::vector > '[1,2,3]', '[1,3]'::vector > '[1,2,3]';

-- nearest rows, NaN after all numbers and NULL last
CREATE TEMP TABLE points (id int, v vector);
INSERT INTO points VALUES (1, '[1,1]'), (2, '[0,0]'), (3, NULL), (4, '[5,5.1]'), (5, '[1,0]');
SELECT id, round((v <-> '[1,1]')::numeric, 6) AS l2 FROM points ORDER BY v <-> '[1,1]';
SELECT id, v <#> '[1,1]' AS ip FROM points ORDER BY v <#> '[1,1]';
SELECT id, round((v <=> '[1,1]')::numeric, 6) AS cosine FROM points ORDER BY v <=> '[1,1]';
SELECT id, v <+> '[1,1]' AS l1 FROM points ORDER BY v <+> '[1,1]';
SELECT id FROM points ORDER BY v <-> '[1,1,1]';

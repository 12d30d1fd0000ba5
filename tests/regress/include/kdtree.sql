-- What the tests of the index share. Included with ECHO off.

-- A pseudo-random vector: row i of a table of uniform numbers in [0, 1).
CREATE FUNCTION pg_temp.kd_vector(i int, dims int) RETURNS vector LANGUAGE sql IMMUTABLE AS $$
  SELECT array_agg((hashint8(i::int8 * 100003 + d) & 65535) / 65536::real ORDER BY d)::vector FROM generate_series(1, dims) d
$$;

-- Runs a query that ends in ORDER BY d, a distance, with the index and without, and says whether the answers are the same: the same
-- distances in the same order, and the same rows. (Rows of equal distance may come in any order.) The indexes that were used are checked.
CREATE FUNCTION pg_temp.kd_compare(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  plan text := '';
  line text;
  gather text := format('SELECT array_agg(d::float8) AS distances, array_agg(q::text) AS rows FROM (%s) q', query);
  by_index record;
  by_sort record;
  problems text;
BEGIN
  PERFORM set_config(name, 'off', true) FROM unnest('{enable_seqscan,enable_bitmapscan,enable_sort}'::text[]) name;
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP plan := plan || line || E'\n'; END LOOP;
  EXECUTE gather INTO by_index;
  PERFORM set_config(name, 'on', true) FROM unnest('{enable_seqscan,enable_sort}'::text[]) name;
  PERFORM set_config('enable_indexscan', 'off', true);
  EXECUTE gather INTO by_sort;
  PERFORM set_config(name, 'on', true) FROM unnest('{enable_bitmapscan,enable_indexscan}'::text[]) name;
  IF plan !~ 'Index Scan using [^\n]*\n( *Index Cond:[^\n]*\n)? *Order By:' THEN
    RETURN E'not answered by an index:\n' || plan;
  END IF;
  IF by_index.distances IS DISTINCT FROM by_sort.distances THEN
    RETURN format('DIFFERENT: distances %s by the index, %s by sorting', left(by_index.distances::text, 300), left(by_sort.distances::text, 300));
  END IF;
  IF ARRAY(SELECT unnest(by_index.rows) ORDER BY 1) <> ARRAY(SELECT unnest(by_sort.rows) ORDER BY 1) THEN
    RETURN format('DIFFERENT: rows %s by the index, %s by sorting', left(by_index.rows::text, 300), left(by_sort.rows::text, 300));
  END IF;
  SELECT string_agg(format('%s, block %s: %s', used[1], block, problem), E'\n') INTO problems
  FROM regexp_matches(plan, 'Index Scan using (\S+) on [^\n]*\n(?: *Index Cond:[^\n]*\n)? *Order By:', 'g') used, kdtree_check(used[1]::regclass, true);
  IF problems IS NOT NULL THEN
    RETURN E'the same rows, but kdtree_check finds\n' || problems;
  END IF;
  RETURN format('the same %s rows', coalesce(cardinality(by_index.rows), 0));
END
$$;

-- The parts of an index that hold anything.
CREATE FUNCTION pg_temp.kd_parts(index regclass, OUT kind text, OUT parts int8, OUT vectors int8, OUT dead int8)
RETURNS SETOF record LANGUAGE sql AS $$
  SELECT kind, count(*), sum(vectors), sum(dead) FROM kdtree_stats(index) WHERE vectors > 0
  GROUP BY kind ORDER BY kind COLLATE "C"
$$;

-- EXPLAIN (COSTS OFF) in words that do not differ between versions of PostgreSQL, as far as we know.
CREATE FUNCTION pg_temp.kd_plan(query text) RETURNS TABLE (plan text) LANGUAGE plpgsql AS $$
BEGIN
  FOR plan IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    -- Version 18 marks what was switched off, version 17 has other words for the results of subqueries.
    CONTINUE WHEN plan ~ '^ *Disabled: true$';
    plan := replace(regexp_replace(plan, 'InitPlan 1$', 'InitPlan 1 (returns $0)'), '(InitPlan 1).col1', '$0');
    RETURN NEXT;
  END LOOP;
END
$$;

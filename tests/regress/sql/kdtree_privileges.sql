-- Who may see what: row-level security, privileges and views under a scan of the index.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

CREATE ROLE kdtree_owner;
CREATE ROLE kdtree_reader;
CREATE TABLE secrets (id int, tenant text, v vector(2));
INSERT INTO secrets SELECT i, CASE WHEN i % 10 = 0 THEN 'kdtree_reader' ELSE 'other' END, ARRAY[i, 0] FROM generate_series(1, 500) i;
CREATE INDEX secrets_v ON secrets USING kdtree (v);
INSERT INTO secrets SELECT i, CASE WHEN i % 10 = 0 THEN 'kdtree_reader' ELSE 'other' END, ARRAY[i, 0] FROM generate_series(501, 520) i;
ANALYZE secrets;
ALTER TABLE secrets OWNER TO kdtree_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON secrets TO kdtree_reader;

-- row-level security: a policy's rows, in order, and no others, however far the index has to be read
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secrets USING (tenant = current_user);
SET ROLE kdtree_reader;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM secrets ORDER BY v <-> '[0,0]' LIMIT 3;
SELECT id FROM secrets ORDER BY v <-> '[0,0]' LIMIT 3;
SELECT id FROM secrets ORDER BY v <-> '[520,0]' LIMIT 3;
SELECT count(*), count(*) FILTER (WHERE tenant <> current_user) AS foreign FROM (SELECT tenant FROM secrets ORDER BY v <-> '[0,0]' LIMIT 1000) q;
-- a condition that tells of what it sees, and is cheap enough to be tried first, sees nothing else
CREATE FUNCTION pg_temp.tell(id int, v vector) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS
  $$ BEGIN RAISE NOTICE 'row % is at %', id, v; RETURN true; END $$;
SELECT id FROM secrets WHERE pg_temp.tell(id, v) ORDER BY v <-> '[0,0]' LIMIT 2;
SELECT id FROM secrets WHERE 1 / (id - 7) > -9 ORDER BY v <-> '[0,0]' LIMIT 1;
-- neither does a cursor, a plan made for another role, or an update
BEGIN;
DECLARE near CURSOR FOR SELECT id FROM secrets ORDER BY v <-> '[11,0]';
FETCH 2 FROM near;
COMMIT;
UPDATE secrets SET v = '[-1,0]' WHERE id = (SELECT id FROM secrets ORDER BY v <-> '[15.1,0]' LIMIT 1) RETURNING id;
RESET ROLE;
PREPARE near AS SELECT id FROM secrets ORDER BY v <-> '[0,0]' LIMIT 2;
SET plan_cache_mode = force_generic_plan;
EXECUTE near;
SET ROLE kdtree_reader;
EXECUTE near;
SET ROLE kdtree_owner;
EXECUTE near;
RESET ROLE;
ALTER TABLE secrets FORCE ROW LEVEL SECURITY;
SET ROLE kdtree_owner;
EXECUTE near;
RESET ROLE;
RESET plan_cache_mode;
DEALLOCATE near;
ALTER TABLE secrets NO FORCE ROW LEVEL SECURITY;
-- what scans leave behind names no row
SET ROLE kdtree_reader;
SELECT id FROM secrets ORDER BY v <-> '[0,0]' LIMIT 1;
SELECT index, rows >= 1 AS rows FROM kdtree_last_scan();
RESET ROLE;

-- a column that may not be read cannot be ordered by either
ALTER TABLE secrets DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON secrets FROM kdtree_reader;
GRANT SELECT (id) ON secrets TO kdtree_reader;
SET ROLE kdtree_reader;
SELECT id FROM secrets ORDER BY v <-> '[0,0]' LIMIT 1;
\echo :SQLSTATE
SELECT * FROM kdtree_stats('secrets_v');
\echo :SQLSTATE
RESET ROLE;
-- a view gives what its owner may read
CREATE VIEW near_secrets AS SELECT id, v FROM secrets ORDER BY v <-> '[0,0]' LIMIT 2;
ALTER VIEW near_secrets OWNER TO kdtree_owner;
GRANT SELECT ON near_secrets TO kdtree_reader;
SET ROLE kdtree_reader;
SELECT id FROM near_secrets;
RESET ROLE;

RESET enable_seqscan;
DROP FUNCTION pg_temp.tell(int, vector);
DROP VIEW near_secrets;
DROP TABLE secrets;
DROP ROLE kdtree_owner, kdtree_reader;

-- Who may see what through a scan of the index, who may look into one, and as whom its functions are called.
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

-- looking into an index and rearranging it is for its owner; its sizes are also for those who may read statistics
CREATE ROLE kdtree_monitor IN ROLE pg_read_all_stats;
CREATE ROLE kdtree_member IN ROLE kdtree_owner;
GRANT ALL ON secrets TO kdtree_reader, kdtree_monitor;
CREATE FUNCTION pg_temp.try(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE query;
  RETURN 'allowed';
EXCEPTION WHEN OTHERS THEN
  RETURN format('%s: %s', SQLSTATE, SQLERRM);
END
$$;
CREATE FUNCTION pg_temp.try_as(role text) RETURNS TABLE (query text, result text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('role', role, true);
  RETURN QUERY SELECT q, pg_temp.try(q) FROM unnest(ARRAY[
    $q$SELECT kdtree_stats('secrets_v')$q$, $q$SELECT kdtree_check('secrets_v')$q$,
    $q$SELECT kdtree_check('secrets_v', true)$q$, $q$SELECT kdtree_merge('secrets_v')$q$]) q;
  PERFORM set_config('role', 'none', true);
END
$$;
SELECT * FROM pg_temp.try_as('kdtree_reader');
SELECT * FROM pg_temp.try_as('kdtree_monitor');
SELECT * FROM pg_temp.try_as('kdtree_owner');
SELECT * FROM pg_temp.try_as('kdtree_member');
-- to see the rows, which is for the owner in any case, takes no right of its own, nor does row-level security hide any
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SET ROLE kdtree_owner;
SELECT count(*) FROM secrets;
SELECT * FROM kdtree_check('secrets_v', true);
RESET ROLE;

-- functions in an index's expression and condition are called as the owner, who may not use the caller's rights
CREATE TABLE witness (who name, what text);
GRANT INSERT, SELECT ON witness TO kdtree_owner;
CREATE SCHEMA kdtree_schema;
GRANT ALL ON SCHEMA kdtree_schema TO kdtree_owner;
SET ROLE kdtree_owner;
CREATE FUNCTION kdtree_schema.note(what text) RETURNS void LANGUAGE sql VOLATILE AS
  $$ INSERT INTO public.witness VALUES (current_user, what) $$;
CREATE FUNCTION kdtree_schema.expression(v vector) RETURNS vector(2) LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN PERFORM kdtree_schema.note('expression'); RETURN v; END $$;
CREATE FUNCTION kdtree_schema.condition(id int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN PERFORM kdtree_schema.note('condition'); RETURN id <= 3; END $$;
CREATE TABLE kdtree_schema.owned (id int, v vector(2));
INSERT INTO kdtree_schema.owned SELECT i, ARRAY[i, i] FROM generate_series(1, 5) i;
CREATE INDEX owned_v ON kdtree_schema.owned USING kdtree ((kdtree_schema.expression(v)::vector(2))) WHERE kdtree_schema.condition(id);
RESET ROLE;
TRUNCATE witness;
SELECT * FROM kdtree_check('kdtree_schema.owned_v', true);
SELECT who, what, count(*) FROM witness GROUP BY 1, 2 ORDER BY 2;
-- without the table, and in a merge, they are not called at all
TRUNCATE witness;
SELECT * FROM kdtree_check('kdtree_schema.owned_v');
SELECT kdtree_merge('kdtree_schema.owned_v');
SELECT count(*) FROM witness;
-- they cannot become somebody else, nor leave anything in the session
\set SHOW_CONTEXT never
CREATE OR REPLACE FUNCTION kdtree_schema.note(what text) RETURNS void LANGUAGE plpgsql VOLATILE AS
  $$ BEGIN SET SESSION AUTHORIZATION DEFAULT; END $$;
SELECT * FROM kdtree_check('kdtree_schema.owned_v', true);
CREATE OR REPLACE FUNCTION kdtree_schema.note(what text) RETURNS void LANGUAGE plpgsql VOLATILE AS
  $$ BEGIN CREATE TEMP TABLE trap (id int); END $$;
SELECT * FROM kdtree_check('kdtree_schema.owned_v', true);
\echo :SQLSTATE
CREATE OR REPLACE FUNCTION kdtree_schema.note(what text) RETURNS void LANGUAGE plpgsql VOLATILE AS
  $$ BEGIN PERFORM set_config('search_path', 'kdtree_schema', false), set_config('work_mem', '64kB', false); END $$;
SELECT * FROM kdtree_check('kdtree_schema.owned_v', true);
SELECT current_user = session_user AS same_user, current_setting('search_path') <> 'kdtree_schema' AND current_setting('work_mem') <> '64kB' AS same_settings;
CREATE OR REPLACE FUNCTION kdtree_schema.note(what text) RETURNS void LANGUAGE plpgsql VOLATILE AS
  $$ BEGIN RAISE EXCEPTION 'called as %', current_user; END $$;
SELECT * FROM kdtree_check('kdtree_schema.owned_v', true);
SELECT current_user = session_user AS same_user, current_setting('search_path') <> 'kdtree_schema' AND current_setting('work_mem') <> '64kB' AS same_settings;
CREATE FUNCTION pg_temp.checked() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM kdtree_check('kdtree_schema.owned_v', true);
EXCEPTION WHEN OTHERS THEN
  RETURN format('%s, and the user is the same: %s', SQLERRM, current_user = session_user);
END
$$;
SELECT pg_temp.checked();
DROP TABLE witness, kdtree_schema.owned;
SET client_min_messages = warning;
DROP SCHEMA kdtree_schema CASCADE;
RESET client_min_messages;
DROP FUNCTION pg_temp.tell(int, vector);
DROP VIEW near_secrets;
DROP TABLE secrets;
DROP ROLE kdtree_owner, kdtree_reader, kdtree_monitor, kdtree_member;

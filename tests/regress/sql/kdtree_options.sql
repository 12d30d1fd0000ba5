-- Index options and settings.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir /include/kdtree.sql
\set ECHO none
\i :helpers
\set ECHO all

CREATE TABLE tuned (v vector(4));
INSERT INTO tuned SELECT pg_temp.kd_vector(i, 4) FROM generate_series(1, 2000) i;

-- leaf_size
CREATE INDEX tuned_v ON tuned USING kdtree (v) WITH (leaf_size = 16);
SELECT leaves >= 2000 / 16 FROM kdtree_stats('tuned_v') WHERE kind = 'segment';
SELECT pg_temp.kd_compare($$SELECT v <-> '[0,0,0,0]' AS d FROM tuned ORDER BY 1 LIMIT 20$$);
ALTER INDEX tuned_v SET (leaf_size = 65536);
REINDEX INDEX tuned_v;
SELECT leaves FROM kdtree_stats('tuned_v') WHERE kind = 'segment';
SELECT pg_temp.kd_compare($$SELECT v <-> '[0,0,0,0]' AS d FROM tuned ORDER BY 1 LIMIT 20$$);
ALTER INDEX tuned_v RESET (leaf_size);
REINDEX INDEX tuned_v;
SELECT leaves > 1 FROM kdtree_stats('tuned_v') WHERE kind = 'segment';
DROP INDEX tuned_v;
CREATE INDEX tuned_v ON tuned USING kdtree (v) WITH (leaf_size = 0);
SELECT reloptions FROM pg_class WHERE relname = 'tuned_v';
DROP INDEX tuned_v;

-- values that are refused
CREATE INDEX ON tuned USING kdtree (v) WITH (leaf_size = 15);
CREATE INDEX ON tuned USING kdtree (v) WITH (leaf_size = -1);
CREATE INDEX ON tuned USING kdtree (v) WITH (leaf_size = 65537);
CREATE INDEX ON tuned USING kdtree (v) WITH (leaf_size = 'many');
CREATE INDEX ON tuned USING kdtree (v) WITH (delta_size = 63);
CREATE INDEX ON tuned USING kdtree (v) WITH (lists = 100);

-- delta_size: the setting, and the index option that goes before it
SHOW kdtree.delta_size;
SET kdtree.delta_size = '64kB';
CREATE INDEX tuned_v ON tuned USING kdtree (v);
CREATE INDEX tuned_w ON tuned USING kdtree (v) WITH (delta_size = 1024);
INSERT INTO tuned SELECT pg_temp.kd_vector(i, 4) FROM generate_series(2001, 6000) i;
SELECT parts FROM pg_temp.kd_parts('tuned_v') WHERE kind = 'segment';
SELECT parts FROM pg_temp.kd_parts('tuned_w') WHERE kind = 'segment';
RESET kdtree.delta_size;
\set VERBOSITY sqlstate
SET kdtree.delta_size = '63kB';
\set VERBOSITY default
SET kdtree.nonsense = 1;

DROP TABLE tuned;

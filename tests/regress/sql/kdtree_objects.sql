-- The objects of the extension: every one has a comment, and these are all of them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kdtree CASCADE;
RESET client_min_messages;

CREATE TEMP VIEW members AS
  SELECT d.classid, d.objid, (pg_identify_object(d.classid, d.objid, 0)).type,
         regexp_replace((pg_identify_object(d.classid, d.objid, 0)).identity, 'public\.', '', 'g') AS identity
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
  WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'kdtree'
    -- Types of arrays count as parts of an extension from version 18 on.
    AND NOT (d.classid = 'pg_type'::regclass AND right(pg_describe_object(d.classid, d.objid, 0), 2) = '[]');
SELECT type, identity FROM members WHERE obj_description(objid, classid::regclass::name) IS NULL;
SELECT type, identity FROM members ORDER BY type COLLATE "C", identity COLLATE "C";
SELECT oid::regprocedure, provolatile, proisstrict, proparallel FROM pg_proc JOIN members ON oid = objid AND classid = 'pg_proc'::regclass
  ORDER BY oid::regprocedure::text COLLATE "C";

-- operator classes
SELECT opcname, opcdefault, opcintype::regtype, amvalidate(c.oid) FROM pg_opclass c JOIN members ON c.oid = objid AND classid = 'pg_opclass'::regclass
  ORDER BY opcname COLLATE "C";
SELECT opfname, amopopr::regoperator, amopstrategy, amoppurpose FROM pg_amop JOIN pg_opfamily f ON f.oid = amopfamily
  JOIN members ON f.oid = objid AND classid = 'pg_opfamily'::regclass
  ORDER BY opfname COLLATE "C", amopstrategy, amopopr::regoperator::text COLLATE "C";
SELECT opfname, amproc, amprocnum FROM pg_amproc JOIN pg_opfamily f ON f.oid = amprocfamily
  JOIN members ON f.oid = objid AND classid = 'pg_opfamily'::regclass ORDER BY opfname COLLATE "C", amprocnum;

-- what the access method can do
CREATE TABLE properties (v vector(3));
CREATE INDEX properties_v ON properties USING kdtree (v);
SELECT name, pg_indexam_has_property(a.oid, name) FROM pg_am a,
  unnest(ARRAY['can_order', 'can_unique', 'can_multi_col', 'can_exclude', 'can_include']) name WHERE amname = 'kdtree';
SELECT name, pg_index_has_property('properties_v', name) FROM unnest(ARRAY['clusterable', 'index_scan', 'bitmap_scan', 'backward_scan']) name;
SELECT name, pg_index_column_has_property('properties_v', 1, name)
  FROM unnest(ARRAY['asc', 'orderable', 'distance_orderable', 'returnable', 'search_array', 'search_nulls']) name;
DROP TABLE properties;

-- the extension
SELECT extversion, extrelocatable FROM pg_extension WHERE extname = 'kdtree';
SELECT trusted, relocatable, requires FROM pg_available_extension_versions WHERE name = 'kdtree' AND version = '0.2.0';
CREATE SCHEMA elsewhere;
ALTER EXTENSION kdtree SET SCHEMA elsewhere;
CREATE TABLE relocated (v vector(2));
CREATE INDEX relocated_v ON relocated USING kdtree (v elsewhere.vector_l2_ops);
INSERT INTO relocated VALUES ('[1,2]');
SELECT kind, vectors FROM elsewhere.kdtree_stats('relocated_v') WHERE vectors > 0;
DROP TABLE relocated;
ALTER EXTENSION kdtree SET SCHEMA public;
DROP SCHEMA elsewhere;
DROP EXTENSION kdtree;
SELECT count(*) FROM pg_am WHERE amname = 'kdtree';
SET client_min_messages = warning;
CREATE EXTENSION kdtree CASCADE;

-- The objects of the extension: every one has a comment, and these are all of them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS vector;
RESET client_min_messages;

CREATE TEMP VIEW members AS
  SELECT d.classid, d.objid, (pg_identify_object(d.classid, d.objid, 0)).type, (pg_identify_object(d.classid, d.objid, 0)).identity
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
  WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'vector'
    -- Types of arrays count as parts of an extension from version 18 on.
    AND NOT (d.classid = 'pg_type'::regclass AND right(pg_describe_object(d.classid, d.objid, 0), 2) = '[]');
SELECT type, identity FROM members WHERE obj_description(objid, classid::regclass::name) IS NULL;
SELECT type, identity FROM members ORDER BY type COLLATE "C", identity COLLATE "C";

-- all functions are immutable, strict, parallel safe, and in C, but for those of access methods
SELECT oid::regprocedure, prorettype::regtype FROM pg_proc JOIN members ON oid = objid AND classid = 'pg_proc'::regclass
  WHERE prokind = 'f' AND (provolatile, proisstrict, proparallel) <> ('i', true, 's') ORDER BY proname COLLATE "C";
SELECT oid::regprocedure, aggtransfn, aggcombinefn, aggfinalfn, aggtranstype::regtype, agginitval, proparallel
  FROM pg_aggregate JOIN pg_proc ON oid = aggfnoid JOIN members ON oid = objid AND classid = 'pg_proc'::regclass ORDER BY 1;

-- operators: function, commutator, negator, estimators
SELECT o.oid::regoperator, o.oprcode, o.oprcom::regoperator, o.oprnegate::regoperator, o.oprrest, o.oprjoin
  FROM pg_operator o JOIN members ON o.oid = objid AND classid = 'pg_operator'::regclass
  ORDER BY o.oprleft::regtype::text COLLATE "C", o.oprname COLLATE "C";

-- casts
SELECT castsource::regtype, casttarget::regtype, castfunc::regprocedure, castcontext
  FROM pg_cast JOIN members ON oid = objid AND classid = 'pg_cast'::regclass
  ORDER BY castsource::regtype::text COLLATE "C", casttarget::regtype::text COLLATE "C";

-- the types and the extension
SELECT typname, typlen, typbyval, typalign, typstorage, typinput, typoutput, typreceive, typsend, typmodin, typmodout, typanalyze
  FROM pg_type WHERE typname IN ('vector', 'halfvec', 'sparsevec') ORDER BY typname;
SELECT extversion, extrelocatable FROM pg_extension WHERE extname = 'vector';
SELECT trusted, relocatable, superuser FROM pg_available_extension_versions WHERE name = 'vector' AND version = '0.8.6';

-- operator classes of the access methods: operator, support functions
SELECT amname, opcname, opcdefault, opcintype::regtype, amvalidate(c.oid), amopopr::regoperator, amoppurpose,
  (SELECT array_agg(amprocnum || ' ' || amproc::regproc ORDER BY amprocnum) FROM pg_amproc WHERE amprocfamily = opcfamily)
  FROM pg_opclass c JOIN members ON c.oid = objid AND classid = 'pg_opclass'::regclass JOIN pg_am a ON a.oid = opcmethod
  JOIN pg_amop ON amopfamily = opcfamily WHERE amname <> 'btree' ORDER BY amname, opcname COLLATE "C";

-- shared and operator class checks of Postgres itself
SELECT opcname, amvalidate(oid) FROM pg_opclass WHERE opcname IN ('vector_ops', 'halfvec_ops', 'sparsevec_ops') AND opcmethod = (SELECT oid FROM pg_am WHERE amname = 'btree') ORDER BY opcname;

-- relocation, and a fresh start in another schema
CREATE SCHEMA elsewhere;
ALTER EXTENSION vector SET SCHEMA elsewhere;
SELECT '[1]'::elsewhere.vector OPERATOR(elsewhere.<->) '[2]', '[1]'::elsewhere.halfvec OPERATOR(elsewhere.<->) '[2]',
  '{1:1}/1'::elsewhere.sparsevec OPERATOR(elsewhere.<->) '{}/1', B'1' OPERATOR(elsewhere.<~>) B'0';
ALTER EXTENSION vector SET SCHEMA public;
DROP SCHEMA elsewhere;

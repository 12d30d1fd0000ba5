-- From pgvector to this library, in place. All that is in a database with pgvector 0.8 stays as it is: tables and their files, types,
-- operators, casts, operator classes. Only the code behind the functions is exchanged, and indexes of hnsw and ivfflat are built
-- anew, as what they hold is pgvector's.
--
-- ALTER EXTENSION vector UPDATE runs this where our files have taken the place of pgvector's. A superuser may also run it by psql,
-- while pgvector's files are still there, or where its version is 0.8.6 already. See docs/migration.md.

DO $move$
DECLARE
	-- The functions of the extension that are still pgvector's, and the indexes that it built.
	functions oid[] := ARRAY(
		SELECT p.oid
		FROM pg_proc p
			JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
			JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
		WHERE e.extname = 'vector' AND p.probin = '$libdir/vector'
	);
	indexes oid[] := ARRAY(
		SELECT c.oid
		FROM pg_class c JOIN pg_am a ON a.oid = c.relam
		WHERE a.amhandler = ANY (functions) AND c.relkind = 'i' AND NOT pg_is_other_temp_schema(c.relnamespace)
		ORDER BY c.oid
	);
	function oid;
	symbol text;
	definition text;
	operator regoperator;
	index oid;
BEGIN
	FOREACH function IN ARRAY functions LOOP
		SELECT CASE
				-- A cast to the same type is a function of the type's name.
				WHEN prosrc IN ('vector', 'halfvec', 'sparsevec') THEN prosrc || '_to_' || prosrc
				ELSE prosrc
			END || '_wrapper'
		INTO symbol FROM pg_proc WHERE oid = function;
		definition := pg_get_functiondef(function);
		EXECUTE left(definition, strpos(definition, E'\nAS ')) || format('AS %L, %L', '$libdir/kdvector', symbol);
	END LOOP;

	-- pgvector estimates <> as if it were =.
	FOR operator IN
		SELECT o.oid FROM pg_operator o WHERE o.oprcode = ANY (functions) AND o.oprname = '<>'
	LOOP
		EXECUTE format('ALTER OPERATOR %s SET (RESTRICT = neqsel, JOIN = neqjoinsel)', operator);
	END LOOP;

	FOREACH index IN ARRAY indexes LOOP
		-- A session that has used the index remembers callbacks of pgvector's, be it this one. It forgets them when the row changes.
		UPDATE pg_index SET indexrelid = indexrelid WHERE indexrelid = index;
		EXECUTE format('REINDEX INDEX %s', index::regclass);
	END LOOP;
END
$move$;

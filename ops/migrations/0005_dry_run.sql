-- Dry runs that can be wrong: they execute the write, and start from where the other system started.
--
-- A shadow runs after the other system has committed. If it began from that row, a field it forgets
-- would come back with the other's value and nobody would notice. So the row is first put back to its
-- before image of that sync: its own journal entry, or, where that sync changed nothing, the before
-- image of whoever wrote first after it ended (live traffic goes on while a shadow runs).
-- Called only inside work that is rolled back.
CREATE OR REPLACE FUNCTION public.sync_restore_before(
  workspace text, number text, shadow_of uuid
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
  image jsonb;
BEGIN
  SELECT coalesce(j.before, 'null') INTO image
  FROM public.listing_journal AS j
  WHERE j.workspace_id = workspace AND j.property_number = number AND j.sync_id = shadow_of
  ORDER BY j.seq LIMIT 1;
  IF image IS NULL THEN
    SELECT coalesce(j.before, 'null') INTO image
    FROM public.listing_journal AS j
    WHERE j.workspace_id = workspace AND j.property_number = number
      AND j.at > (
        SELECT max(h.recorded_at) FROM public.sync_history AS h
        WHERE h.sync_id = shadow_of AND h.workspace_id = workspace AND h.status <> 'running'
      )
    ORDER BY j.seq LIMIT 1;
  END IF;
  IF image IS NULL THEN
    RETURN; -- nothing happened to this listing since: it stands as it stood
  END IF;
  DELETE FROM public.listings AS l WHERE l.workspace_id = workspace AND l.property_number = number;
  IF image <> 'null' THEN
    INSERT INTO public.listings SELECT * FROM jsonb_populate_record(NULL::public.listings, image);
  END IF;
END $$;
--> statement-breakpoint
REVOKE ALL ON FUNCTION public.sync_restore_before(text, text, uuid) FROM PUBLIC, anon;
--> statement-breakpoint
GRANT EXECUTE ON FUNCTION public.sync_restore_before(text, text, uuid) TO service_role, sync_old;
--> statement-breakpoint
-- The dry run of the REST side: POST /rpc/sync_dry_run with the very groups a real write would send,
-- [{"columns": [...], "rows": [{...}, ...]}, ...]; each row is upserted exactly as PostgREST would
-- (every listed column is set, others are kept), a bad row fails alone, and what stands afterwards is
-- returned: [{"property_number", "action", "row"} or {"property_number", "code", "message"}].
--
-- Nothing is ever stored, whatever the server's db-tx-end: all work happens in a block that ends by
-- raising, and PostgreSQL rolls a block back before its handler runs. Only variables survive, so the
-- result comes home as an ordinary answer, of any size. Sequence numbers are burnt; that is all.
--
-- It never waits long for a row that live traffic holds (lock_timeout), and takes rows in
-- property-number order like every writer, so it cannot deadlock with one.
CREATE OR REPLACE FUNCTION public.sync_dry_run(
  workspace text, groups jsonb, shadow_of uuid DEFAULT NULL
) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '1s'
AS $$
DECLARE
  results jsonb[] := '{}';
  one record;
  statement text;
  row_before jsonb;
  row_after jsonb;
  said text;
  code text;
BEGIN
  PERFORM set_config('sync.workspace', workspace, true);
  BEGIN
    FOR one IN
      SELECT g.value -> 'columns' AS columns, r.value AS body,
             r.value ->> 'property_number' AS number
      FROM jsonb_array_elements(groups) AS g, jsonb_array_elements(g.value -> 'rows') AS r
      ORDER BY (r.value ->> 'property_number') COLLATE "C"
    LOOP
      BEGIN
        IF shadow_of IS NOT NULL THEN
          PERFORM public.sync_restore_before(workspace, one.number, shadow_of);
        END IF;
        SELECT to_jsonb(l) INTO row_before FROM public.listings AS l
        WHERE l.workspace_id = workspace AND l.property_number = one.number;
        SELECT format(
          'INSERT INTO public.listings AS l (%1$s) SELECT %1$s'
          ' FROM jsonb_populate_record(NULL::public.listings, $1)'
          ' ON CONFLICT (workspace_id, property_number) DO UPDATE SET %2$s',
          string_agg(quote_ident(c), ', '),
          string_agg(format('%1$I = EXCLUDED.%1$I', c), ', ')
        ) INTO statement FROM jsonb_array_elements_text(one.columns) AS c;
        EXECUTE statement USING one.body;
        SELECT to_jsonb(l) INTO row_after FROM public.listings AS l
        WHERE l.workspace_id = workspace AND l.property_number = one.number;
        results := results || jsonb_build_object(
          'property_number', one.number, 'row', row_after, 'action', CASE
            WHEN row_before IS NULL THEN 'created'
            WHEN row_before = row_after THEN 'unchanged'
            ELSE 'updated' END);
      EXCEPTION
        WHEN lock_not_available OR deadlock_detected OR serialization_failure OR query_canceled THEN
          RAISE; -- nobody's fault: the whole dry run is worth another try
        WHEN OTHERS THEN
          GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, code = RETURNED_SQLSTATE;
          results := results || jsonb_build_object(
            'property_number', one.number, 'code', code, 'message', said);
      END;
    END LOOP;
    SET CONSTRAINTS ALL IMMEDIATE;
    RAISE EXCEPTION 'a dry run ends here' USING ERRCODE = 'SGDRY';
  EXCEPTION WHEN SQLSTATE 'SGDRY' THEN
    NULL;
  END;
  RETURN to_jsonb(results);
END $$;
--> statement-breakpoint
REVOKE ALL ON FUNCTION public.sync_dry_run(text, jsonb, uuid) FROM PUBLIC, anon;
--> statement-breakpoint
GRANT EXECUTE ON FUNCTION public.sync_dry_run(text, jsonb, uuid) TO service_role;
--> statement-breakpoint
NOTIFY pgrst, 'reload schema';

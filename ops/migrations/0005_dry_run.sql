-- Dry runs that can be wrong: they execute the write, and start from where the other system started.
--
-- A shadow runs after the other system has committed. If it began from that row, a field it forgets
-- would come back with the other's value and nobody would notice. So the rows are first put back to
-- their before images of that sync: its own journal entry, or, where that sync changed nothing, the
-- before image of whoever wrote first after it ended (live traffic goes on while a shadow runs).
-- Where nothing happened since, a listing stands as it stood. Called only inside work that is rolled
-- back.
CREATE OR REPLACE FUNCTION public.sync_restore_before(
  workspace text, numbers text[], shadow_of uuid
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
  ended timestamptz := (
    SELECT max(h.recorded_at) FROM public.sync_history AS h
    WHERE h.sync_id = shadow_of AND h.workspace_id = workspace AND h.status <> 'running'
  );
  images jsonb; -- by property number; null means that there was no such listing
BEGIN
  SELECT jsonb_object_agg(n.number, found.image) INTO images
  FROM unnest(numbers) AS n(number)
  CROSS JOIN LATERAL (
    SELECT coalesce(
      (SELECT coalesce(j.before, 'null') FROM public.listing_journal AS j
       WHERE j.workspace_id = workspace AND j.property_number = n.number
         AND j.sync_id = shadow_of
       ORDER BY j.seq LIMIT 1),
      (SELECT coalesce(j.before, 'null') FROM public.listing_journal AS j
       WHERE j.workspace_id = workspace AND j.property_number = n.number AND j.at > ended
       ORDER BY j.seq LIMIT 1)
    ) AS image
  ) AS found
  WHERE found.image IS NOT NULL;

  DELETE FROM public.listings AS l
  WHERE l.workspace_id = workspace
    AND l.property_number IN (SELECT jsonb_object_keys(images));
  INSERT INTO public.listings
  SELECT r.* FROM jsonb_each(images) AS e
  CROSS JOIN LATERAL jsonb_populate_record(NULL::public.listings, e.value) AS r
  WHERE e.value <> 'null'
  ORDER BY r.property_number;
END $$;
--> statement-breakpoint
REVOKE ALL ON FUNCTION public.sync_restore_before(text, text[], uuid) FROM PUBLIC, anon;
--> statement-breakpoint
GRANT EXECUTE ON FUNCTION public.sync_restore_before(text, text[], uuid) TO service_role, sync_old;
--> statement-breakpoint
-- The dry run of the REST side: POST /rpc/sync_dry_run with the very groups a real write would send,
-- [{"columns": [...], "rows": [{...}, ...]}, ...]. Each group is upserted by one statement, exactly as
-- PostgREST would (every listed column is set, others are kept); if that fails, row by row, so that a
-- bad row fails alone. What stands afterwards is returned:
-- [{"property_number", "action", "row"} or {"property_number", "code", "message"}].
--
-- Nothing is ever stored, whatever the server's db-tx-end: all work happens in a block that ends by
-- raising, and PostgreSQL rolls a block back before its handler runs. Only variables survive, so the
-- result comes home as an ordinary answer, of any size. Sequence numbers are burnt; that is all.
--
-- Live traffic goes first: a row that it holds is not waited for longer than lock_timeout, and rows
-- are locked at the start in property-number order like every writer does, so that there is no
-- deadlock with one.
CREATE OR REPLACE FUNCTION public.sync_dry_run(
  workspace text, groups jsonb, shadow_of uuid DEFAULT NULL
) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '1s'
AS $$
DECLARE
  numbers text[] := ARRAY(
    SELECT r.value ->> 'property_number'
    FROM jsonb_array_elements(groups) AS g, jsonb_array_elements(g.value -> 'rows') AS r
  );
  stood jsonb;
  batch jsonb;
  single jsonb;
  statement text;
  failures jsonb := '{}';
  results jsonb;
  said text;
  code text;
BEGIN
  PERFORM set_config('sync.workspace', workspace, true);
  BEGIN
    PERFORM FROM public.listings AS l
    WHERE l.workspace_id = workspace AND l.property_number = ANY (numbers)
    ORDER BY l.property_number FOR UPDATE;
    IF shadow_of IS NOT NULL THEN
      PERFORM public.sync_restore_before(workspace, numbers, shadow_of);
    END IF;
    SELECT coalesce(jsonb_object_agg(l.property_number, to_jsonb(l)), '{}') INTO stood
    FROM public.listings AS l
    WHERE l.workspace_id = workspace AND l.property_number = ANY (numbers);

    FOR batch IN SELECT g.value FROM jsonb_array_elements(groups) AS g LOOP
      SELECT format(
        'INSERT INTO public.listings (%1$s) SELECT %1$s'
        ' FROM jsonb_populate_recordset(NULL::public.listings, $1) ORDER BY property_number'
        ' ON CONFLICT (workspace_id, property_number) DO UPDATE SET %2$s',
        string_agg(quote_ident(c), ', '),
        string_agg(format('%1$I = EXCLUDED.%1$I', c), ', ')
      ) INTO statement FROM jsonb_array_elements_text(batch -> 'columns') AS c;
      BEGIN
        EXECUTE statement USING batch -> 'rows';
      EXCEPTION
        WHEN lock_not_available OR deadlock_detected OR serialization_failure OR query_canceled THEN
          RAISE; -- nobody's fault: the whole dry run is worth another try
        WHEN OTHERS THEN
          FOR single IN SELECT r.value FROM jsonb_array_elements(batch -> 'rows') AS r LOOP
            BEGIN
              EXECUTE statement USING jsonb_build_array(single);
            EXCEPTION
              WHEN lock_not_available OR deadlock_detected OR serialization_failure
                OR query_canceled THEN
                RAISE;
              WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, code = RETURNED_SQLSTATE;
                failures := failures || jsonb_build_object(
                  single ->> 'property_number', jsonb_build_object('code', code, 'message', said));
            END;
          END LOOP;
      END;
    END LOOP;

    SELECT jsonb_agg(
      jsonb_build_object('property_number', n.number) || coalesce(
        failures -> n.number,
        jsonb_build_object('row', to_jsonb(l), 'action', CASE
          WHEN stood -> n.number IS NULL THEN 'created'
          WHEN stood -> n.number = to_jsonb(l) THEN 'unchanged'
          ELSE 'updated' END)
      ) ORDER BY n.number COLLATE "C"
    ) INTO results
    FROM unnest(numbers) AS n(number)
    LEFT JOIN public.listings AS l
      ON l.workspace_id = workspace AND l.property_number = n.number;
    SET CONSTRAINTS ALL IMMEDIATE;
    RAISE EXCEPTION 'a dry run ends here' USING ERRCODE = 'SGDRY';
  EXCEPTION WHEN SQLSTATE 'SGDRY' THEN
    NULL;
  END;
  RETURN coalesce(results, '[]');
END $$;
--> statement-breakpoint
REVOKE ALL ON FUNCTION public.sync_dry_run(text, jsonb, uuid) FROM PUBLIC, anon;
--> statement-breakpoint
GRANT EXECUTE ON FUNCTION public.sync_dry_run(text, jsonb, uuid) TO service_role;
--> statement-breakpoint
NOTIFY pgrst, 'reload schema';

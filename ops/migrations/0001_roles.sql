-- Roles: who may touch listings, and how far row-level security binds them.
--
-- Roles belong to the whole cluster, so every statement here expects to find them made already (by
-- another database, or by Supabase, whose names are the same). None gets a password: a deployment
-- gives its own (ALTER ROLE ... LOGIN PASSWORD ...).
-- Who calls PostgREST without a key: may do nothing here.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'anon') THEN
    CREATE ROLE anon NOLOGIN NOINHERIT;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL; -- another database of this cluster was migrated at the same moment
END $$;
--> statement-breakpoint
-- Who calls PostgREST with the service key. It bypasses RLS, so the write trigger checks its workspace.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'service_role') THEN
    CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL; -- another database of this cluster was migrated at the same moment
END $$;
--> statement-breakpoint
-- What PostgREST connects as; it has no rights of its own and switches to the role of the token.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'authenticator') THEN
    CREATE ROLE authenticator LOGIN NOINHERIT;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL; -- another database of this cluster was migrated at the same moment
END $$;
--> statement-breakpoint
-- What the old service becomes in each transaction: RLS binds it.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'sync_old') THEN
    CREATE ROLE sync_old NOLOGIN NOBYPASSRLS;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL; -- another database of this cluster was migrated at the same moment
END $$;
--> statement-breakpoint
-- Reads one workspace at a time, changes nothing (reports, support).
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'syncgate_readonly') THEN
    CREATE ROLE syncgate_readonly NOLOGIN NOBYPASSRLS;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL; -- another database of this cluster was migrated at the same moment
END $$;
--> statement-breakpoint
DO $$
BEGIN
  GRANT anon, service_role, syncgate_readonly TO authenticator;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'authenticator was set up by the host; grant it syncgate_readonly by hand if wanted';
END $$;
--> statement-breakpoint
-- The login that migrates is usually the one that services and maintenance connect with: it must be
-- able to step down to sync_old.
DO $$
BEGIN
  EXECUTE format('GRANT sync_old, syncgate_readonly TO %I', current_user);
EXCEPTION WHEN insufficient_privilege OR invalid_grant_operation THEN
  RAISE NOTICE 'could not grant sync_old to %; the old service will write as its own login', current_user;
END $$;
--> statement-breakpoint
GRANT USAGE ON SCHEMA public TO service_role, sync_old, syncgate_readonly;
--> statement-breakpoint
GRANT SELECT ON public.schema_migrations TO service_role, sync_old, syncgate_readonly;
--> statement-breakpoint
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_policies
    WHERE schemaname = 'public' AND tablename = 'schema_migrations'
      AND policyname = 'schema_migrations_read'
  ) THEN
    -- The list of migrations belongs to no workspace.
    CREATE POLICY schema_migrations_read ON public.schema_migrations FOR SELECT USING (true);
  END IF;
END $$;
--> statement-breakpoint
-- Which workspace this transaction speaks for; NULL means none, and then RLS shows nothing.
-- A signed token outranks what the caller merely says; a setting serves direct connections, a header
-- serves PostgREST with the service key.
CREATE OR REPLACE FUNCTION public.sync_workspace() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(
    nullif(current_setting('request.jwt.claims', true), '')::json ->> 'workspace_id',
    nullif(current_setting('sync.workspace', true), ''),
    nullif(current_setting('request.headers', true), '')::json ->> 'sync-workspace'
  )
$$;
--> statement-breakpoint
-- Who writes in this transaction: 'old', 'new', or 'other' for anybody who does not say.
CREATE OR REPLACE FUNCTION public.sync_writer() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN said IN ('old', 'new') THEN said ELSE 'other' END
  FROM (SELECT coalesce(
    nullif(current_setting('sync.system', true), ''),
    nullif(current_setting('request.headers', true), '')::json ->> 'sync-system'
  )) AS asked(said)
$$;
--> statement-breakpoint
-- The sync in whose name this transaction writes, or NULL.
CREATE OR REPLACE FUNCTION public.sync_current_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT nullif(coalesce(
    nullif(current_setting('sync.sync_id', true), ''),
    nullif(current_setting('request.headers', true), '')::json ->> 'sync-id'
  ), '')::uuid
$$;
--> statement-breakpoint
NOTIFY pgrst, 'reload schema';

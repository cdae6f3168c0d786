-- What each system synced: every run (sync_history), and where each system stands (sync_state).
--
-- sync_id is a UUID made by the service. The key names workspace and system as well, so that a run of
-- one can never overwrite a run of another, whatever id it claims. recorded_at is the database's clock,
-- the same that stamps the journal: a shadow run needs to know which entries came after a sync ended.
-- Retention: runs are small; keep two years, delete by started_at.
CREATE TABLE IF NOT EXISTS public.sync_history (
  workspace_id text NOT NULL DEFAULT 'default',
  system text NOT NULL CONSTRAINT sync_history_system_check CHECK (system IN ('old', 'new')),
  sync_id uuid NOT NULL,
  mode text NOT NULL,
  status text NOT NULL CONSTRAINT sync_history_status_check
    CHECK (status IN ('running', 'completed', 'partial', 'failed')),
  started_at timestamptz NOT NULL,
  completed_at timestamptz,
  total bigint NOT NULL DEFAULT 0,
  success bigint NOT NULL DEFAULT 0,
  failed bigint NOT NULL DEFAULT 0,
  skipped bigint NOT NULL DEFAULT 0,
  errors jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT sync_history_errors_check CHECK (jsonb_typeof(errors) = 'array'),
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (workspace_id, system, sync_id)
);
--> statement-breakpoint
-- The latest runs of one system, newest first, is the one question asked often.
CREATE INDEX IF NOT EXISTS sync_history_latest
  ON public.sync_history (workspace_id, system, started_at DESC, sync_id);
--> statement-breakpoint
-- A shadow run knows the other system's sync only by its id.
CREATE INDEX IF NOT EXISTS sync_history_sync ON public.sync_history (sync_id);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS public.sync_state (
  workspace_id text NOT NULL DEFAULT 'default',
  system text NOT NULL CONSTRAINT sync_state_system_check CHECK (system IN ('old', 'new')),
  status text NOT NULL,
  last_sync_id uuid NOT NULL,
  last_mode text NOT NULL,
  last_started_at timestamptz NOT NULL,
  last_completed_at timestamptz,
  last_total bigint NOT NULL,
  last_success bigint NOT NULL,
  last_failed bigint NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (workspace_id, system)
);
--> statement-breakpoint
-- The state follows the history in the same statement, so the two can never tell different stories;
-- an older run that reports late does not take the place of a newer one.
CREATE OR REPLACE FUNCTION public.sync_history_keep_state() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO public.sync_state AS state
    (workspace_id, system, status, last_sync_id, last_mode, last_started_at, last_completed_at,
     last_total, last_success, last_failed)
  VALUES
    (NEW.workspace_id, NEW.system, NEW.status, NEW.sync_id, NEW.mode, NEW.started_at,
     NEW.completed_at, NEW.total, NEW.success, NEW.failed)
  ON CONFLICT (workspace_id, system) DO UPDATE SET
    status = EXCLUDED.status, last_sync_id = EXCLUDED.last_sync_id,
    last_mode = EXCLUDED.last_mode, last_started_at = EXCLUDED.last_started_at,
    last_completed_at = EXCLUDED.last_completed_at, last_total = EXCLUDED.last_total,
    last_success = EXCLUDED.last_success, last_failed = EXCLUDED.last_failed,
    updated_at = clock_timestamp()
  WHERE state.last_started_at <= EXCLUDED.last_started_at;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION public.sync_history_stamp() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  NEW.recorded_at := clock_timestamp();
  RETURN NEW;
END $$;
--> statement-breakpoint
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger
    WHERE tgrelid = 'public.sync_history'::regclass AND tgname = 'sync_history_stamp'
  ) THEN
    CREATE TRIGGER sync_history_stamp
      BEFORE INSERT OR UPDATE ON public.sync_history
      FOR EACH ROW EXECUTE FUNCTION public.sync_history_stamp();
  END IF;
END $$;
--> statement-breakpoint
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger
    WHERE tgrelid = 'public.sync_history'::regclass AND tgname = 'sync_history_keep_state'
  ) THEN
    CREATE TRIGGER sync_history_keep_state
      AFTER INSERT OR UPDATE ON public.sync_history
      FOR EACH ROW EXECUTE FUNCTION public.sync_history_keep_state();
  END IF;
END $$;
--> statement-breakpoint
ALTER TABLE public.sync_history ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE public.sync_history FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_policies
    WHERE schemaname = 'public' AND tablename = 'sync_history' AND policyname = 'sync_history_workspace'
  ) THEN
    CREATE POLICY sync_history_workspace ON public.sync_history
      USING (workspace_id = (SELECT public.sync_workspace()))
      WITH CHECK (workspace_id = (SELECT public.sync_workspace()));
  END IF;
END $$;
--> statement-breakpoint
REVOKE ALL ON public.sync_history FROM PUBLIC, anon, authenticator;
--> statement-breakpoint
REVOKE TRUNCATE, REFERENCES, TRIGGER ON public.sync_history FROM service_role;
--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON public.sync_history TO service_role, sync_old;
--> statement-breakpoint
GRANT SELECT ON public.sync_history TO syncgate_readonly;
--> statement-breakpoint
ALTER TABLE public.sync_state ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE public.sync_state FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_policies
    WHERE schemaname = 'public' AND tablename = 'sync_state' AND policyname = 'sync_state_workspace'
  ) THEN
    CREATE POLICY sync_state_workspace ON public.sync_state
      USING (workspace_id = (SELECT public.sync_workspace()))
      WITH CHECK (workspace_id = (SELECT public.sync_workspace()));
  END IF;
END $$;
--> statement-breakpoint
REVOKE ALL ON public.sync_state FROM PUBLIC, anon, authenticator;
--> statement-breakpoint
REVOKE TRUNCATE, REFERENCES, TRIGGER ON public.sync_state FROM service_role;
--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON public.sync_state TO service_role, sync_old;
--> statement-breakpoint
GRANT SELECT ON public.sync_state TO syncgate_readonly;
--> statement-breakpoint
NOTIFY pgrst, 'reload schema';

-- The change journal: the before and after image of every write to listings, in the write's own
-- transaction, whoever wrote. It is what undo, shadow runs (before images) and the outbox read.
--
-- Reading it: seq has gaps (a rolled-back write burns numbers) and commits out of order, so a consumer
-- takes only rows with tx_id < pg_snapshot_xmin(pg_current_snapshot()). Continuity means that each
-- `before` equals the previous `after` of that listing.
--
-- Indexes: by listing in order (continuity, history of one listing), by sync (before images, undo),
-- and a BRIN on time, which is tiny because an append-only table is sorted by time already (retention,
-- "since yesterday"). The outbox walks the primary key.
--
-- Retention: 400 days (a year's comparison and a month to make it), then the owner deletes in slices:
--   DELETE FROM listing_journal WHERE seq IN (
--     SELECT seq FROM listing_journal WHERE at < now() - interval '400 days' ORDER BY seq LIMIT 10000);
-- never past the slowest consumer's position. A listing's oldest remaining entry then has a `before`
-- that nothing precedes, which is no gap.
CREATE TABLE IF NOT EXISTS public.listing_journal (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tx_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  workspace_id text NOT NULL,
  property_number text COLLATE "C" NOT NULL,
  op text NOT NULL CONSTRAINT listing_journal_op_check CHECK (op IN ('insert', 'update', 'delete')),
  writer text NOT NULL
    CONSTRAINT listing_journal_writer_check CHECK (writer IN ('old', 'new', 'other')),
  sync_id uuid,
  before jsonb,
  after jsonb,
  CONSTRAINT listing_journal_images_check CHECK (
    (before IS NULL) = (op = 'insert') AND (after IS NULL) = (op = 'delete')
  )
);
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS listing_journal_listing
  ON public.listing_journal (workspace_id, property_number, seq);
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS listing_journal_sync
  ON public.listing_journal (sync_id, property_number, seq) WHERE sync_id IS NOT NULL;
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS listing_journal_at
  ON public.listing_journal USING brin (at);
--> statement-breakpoint
-- SECURITY DEFINER: writers have no right to the journal, so they can neither skip nor forge an entry.
-- TimeZone is pinned because to_jsonb writes timestamps in the session's zone, and the same instant
-- must be the same image whoever wrote it.
CREATE OR REPLACE FUNCTION public.listing_journal_write() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO public.listing_journal (workspace_id, property_number, op, writer, sync_id, after)
    VALUES (NEW.workspace_id, NEW.property_number, 'insert',
            public.sync_writer(), public.sync_current_id(), to_jsonb(NEW));
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO public.listing_journal
      (workspace_id, property_number, op, writer, sync_id, before, after)
    VALUES (NEW.workspace_id, NEW.property_number, 'update',
            public.sync_writer(), public.sync_current_id(), to_jsonb(OLD), to_jsonb(NEW));
  ELSE
    INSERT INTO public.listing_journal (workspace_id, property_number, op, writer, sync_id, before)
    VALUES (OLD.workspace_id, OLD.property_number, 'delete',
            public.sync_writer(), public.sync_current_id(), to_jsonb(OLD));
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
REVOKE ALL ON FUNCTION public.listing_journal_write() FROM PUBLIC;
--> statement-breakpoint
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger
    WHERE tgrelid = 'public.listings'::regclass AND tgname = 'listings_journal'
  ) THEN
    CREATE TRIGGER listings_journal
      AFTER INSERT OR UPDATE OR DELETE ON public.listings
      FOR EACH ROW EXECUTE FUNCTION public.listing_journal_write();
  END IF;
END $$;
--> statement-breakpoint
-- TRUNCATE fires no row triggers: it would empty the table without a word in the journal.
CREATE OR REPLACE FUNCTION public.listings_refuse_truncate() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE EXCEPTION 'TRUNCATE would pass the change journal by; use DELETE FROM listings'
    USING ERRCODE = 'insufficient_privilege';
END $$;
--> statement-breakpoint
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger
    WHERE tgrelid = 'public.listings'::regclass AND tgname = 'listings_refuse_truncate'
  ) THEN
    CREATE TRIGGER listings_refuse_truncate
      BEFORE TRUNCATE ON public.listings
      FOR EACH STATEMENT EXECUTE FUNCTION public.listings_refuse_truncate();
  END IF;
END $$;
--> statement-breakpoint
-- Append-only, also against grants that somebody adds later: entries are never changed, and only the
-- owner (retention) removes them. The owner who must correct one disables this trigger, on purpose.
CREATE OR REPLACE FUNCTION public.listing_journal_guard() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF TG_OP = 'UPDATE' OR NOT pg_has_role(
    current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE'
  ) THEN
    RAISE EXCEPTION 'the change journal is append-only: % refused', lower(TG_OP)
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger
    WHERE tgrelid = 'public.listing_journal'::regclass AND tgname = 'listing_journal_guard'
  ) THEN
    CREATE TRIGGER listing_journal_guard
      BEFORE UPDATE OR DELETE OR TRUNCATE ON public.listing_journal
      FOR EACH STATEMENT EXECUTE FUNCTION public.listing_journal_guard();
  END IF;
END $$;
--> statement-breakpoint
-- Not FORCE: only the owner writes here (through the trigger above), and it must be able to whatever
-- workspace a transaction speaks for; an entry refused would refuse the write itself.
ALTER TABLE public.listing_journal ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_policies
    WHERE schemaname = 'public' AND tablename = 'listing_journal'
      AND policyname = 'listing_journal_workspace'
  ) THEN
    CREATE POLICY listing_journal_workspace ON public.listing_journal FOR SELECT
      USING (workspace_id = (SELECT public.sync_workspace()));
  END IF;
END $$;
--> statement-breakpoint
REVOKE ALL ON public.listing_journal FROM PUBLIC, anon, authenticator, service_role, sync_old;
--> statement-breakpoint
GRANT SELECT ON public.listing_journal TO service_role, sync_old, syncgate_readonly;
--> statement-breakpoint
NOTIFY pgrst, 'reload schema';

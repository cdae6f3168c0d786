-- The listings: one row per (workspace, property number), written by old and new alike.
--
-- The columns between property_number and extra are listings.model.FIELDS, in its order and with its
-- bounds; a test compares the two. The bounds stand here as well because the codec is not the only
-- one who can write.
--
-- Indexes, and why there are only two:
--   * the primary key on id: ids go out of the house (links, exports) and are looked up singly;
--   * UNIQUE (workspace_id, property_number): carries the upsert's conflict, the lookup by number, and
--     keyset pages in property-number order (COLLATE "C": code points, the order all writers keep).
-- Not indexed: written_by and sync_id. Counts per system run hourly over a whole workspace anyway, and
-- undo starts from the change journal, which has its own index on sync_id. Every further index would
-- be paid on each write, and would forbid HOT updates of the fields it covers; for the same reason
-- pages keep 10 % free.
CREATE TABLE IF NOT EXISTS public.listings (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  workspace_id text NOT NULL DEFAULT 'default'
    CONSTRAINT listings_workspace_id_check CHECK (workspace_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
  property_number text COLLATE "C" NOT NULL
    CONSTRAINT listings_property_number_check CHECK (char_length(property_number) BETWEEN 1 AND 64),
  title text CONSTRAINT listings_title_check CHECK (char_length(title) <= 500),
  property_type text CONSTRAINT listings_property_type_check CHECK (char_length(property_type) <= 100),
  status text CONSTRAINT listings_status_check CHECK (char_length(status) <= 100),
  postal_code text CONSTRAINT listings_postal_code_check CHECK (char_length(postal_code) <= 16),
  prefecture text CONSTRAINT listings_prefecture_check CHECK (char_length(prefecture) <= 16),
  city text CONSTRAINT listings_city_check CHECK (char_length(city) <= 100),
  address text CONSTRAINT listings_address_check CHECK (char_length(address) <= 500),
  latitude numeric(20,7) CONSTRAINT listings_latitude_check CHECK (latitude BETWEEN -90 AND 90),
  longitude numeric(20,7) CONSTRAINT listings_longitude_check CHECK (longitude BETWEEN -180 AND 180),
  price_yen bigint CONSTRAINT listings_price_yen_check CHECK (price_yen BETWEEN 0 AND 1000000000000000),
  rent_yen bigint CONSTRAINT listings_rent_yen_check CHECK (rent_yen BETWEEN 0 AND 1000000000000000),
  management_fee_yen bigint CONSTRAINT listings_management_fee_yen_check CHECK (management_fee_yen BETWEEN 0 AND 1000000000000000),
  price_per_sqm_yen bigint CONSTRAINT listings_price_per_sqm_yen_check CHECK (price_per_sqm_yen BETWEEN 0 AND 1000000000000000),
  land_area_sqm numeric(20,2) CONSTRAINT listings_land_area_sqm_check CHECK (land_area_sqm BETWEEN 0 AND 1000000000),
  building_area_sqm numeric(20,2) CONSTRAINT listings_building_area_sqm_check CHECK (building_area_sqm BETWEEN 0 AND 1000000000),
  layout text CONSTRAINT listings_layout_check CHECK (char_length(layout) <= 100),
  built_on date,
  floors bigint CONSTRAINT listings_floors_check CHECK (floors BETWEEN 0 AND 300),
  structure text CONSTRAINT listings_structure_check CHECK (char_length(structure) <= 100),
  nearest_station text CONSTRAINT listings_nearest_station_check CHECK (char_length(nearest_station) <= 200),
  station_distance_m bigint CONSTRAINT listings_station_distance_m_check CHECK (station_distance_m BETWEEN 0 AND 1000000),
  zoning text CONSTRAINT listings_zoning_check CHECK (char_length(zoning) <= 100),
  building_coverage_percent numeric(20,2) CONSTRAINT listings_building_coverage_percent_check CHECK (building_coverage_percent BETWEEN 0 AND 100),
  floor_area_ratio_percent numeric(20,2) CONSTRAINT listings_floor_area_ratio_percent_check CHECK (floor_area_ratio_percent BETWEEN 0 AND 2000),
  has_gas boolean,
  has_water boolean,
  has_sewer boolean,
  listed_on date,
  source_updated_at timestamptz,
  description text CONSTRAINT listings_description_check CHECK (char_length(description) <= 20000),
  extra jsonb NOT NULL DEFAULT '{}'
    CONSTRAINT listings_extra_check CHECK (jsonb_typeof(extra) = 'object'),
  written_by text NOT NULL DEFAULT 'other',
  sync_id uuid,
  created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT statement_timestamp(),
  CONSTRAINT listings_workspace_property UNIQUE (workspace_id, property_number)
) WITH (fillfactor = 90);
--> statement-breakpoint
-- Before each write: the workspace is checked, the key stays, and a write without a change is dropped.
--
-- The workspace check is for roles that bypass RLS (service_role): a key that opens every door must
-- still not write into another room than the one it names.
CREATE OR REPLACE FUNCTION public.listings_before_write() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  named text := public.sync_workspace();
  writer text := public.sync_writer();
  same record;
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF named IS NOT NULL AND OLD.workspace_id <> named THEN
      RAISE EXCEPTION 'this transaction speaks for workspace %, not for %', named, OLD.workspace_id
        USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
  END IF;

  IF named IS NOT NULL AND NEW.workspace_id <> named THEN
    RAISE EXCEPTION 'this transaction speaks for workspace %, not for %', named, NEW.workspace_id
      USING ERRCODE = 'insufficient_privilege';
  END IF;

  IF TG_OP = 'UPDATE' THEN
    IF NEW.workspace_id <> OLD.workspace_id OR NEW.property_number <> OLD.property_number THEN
      RAISE EXCEPTION 'the key of a listing does not change: delete it and insert another'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    NEW.id := OLD.id;
    NEW.created_at := OLD.created_at;
    -- Whole rows are compared, so that a field added later is never forgotten here.
    same := NEW;
    same.written_by := OLD.written_by;
    same.sync_id := OLD.sync_id;
    same.updated_at := OLD.updated_at;
    IF same IS NOT DISTINCT FROM OLD THEN
      RETURN NULL;
    END IF;
    -- Strictly later than the creation: updated_at = created_at says "never changed since".
    NEW.updated_at := greatest(clock_timestamp(), OLD.updated_at + interval '1 microsecond');
  END IF;

  IF writer <> 'other' THEN
    NEW.written_by := writer;
    NEW.sync_id := public.sync_current_id();
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger
    WHERE tgrelid = 'public.listings'::regclass AND tgname = 'listings_before_write'
  ) THEN
    CREATE TRIGGER listings_before_write
      BEFORE INSERT OR UPDATE OR DELETE ON public.listings
      FOR EACH ROW EXECUTE FUNCTION public.listings_before_write();
  END IF;
END $$;
--> statement-breakpoint
ALTER TABLE public.listings ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
-- FORCE: a service that connects as the owner (a single login on a small host) is bound as well.
-- Superusers and BYPASSRLS logins still see all rows, which is what maintenance connects with; others
-- should SET row_security = off first, so that a filtered answer is an error and not half a truth.
ALTER TABLE public.listings FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_policies
    WHERE schemaname = 'public' AND tablename = 'listings' AND policyname = 'listings_workspace'
  ) THEN
    CREATE POLICY listings_workspace ON public.listings
      USING (workspace_id = (SELECT public.sync_workspace()))
      WITH CHECK (workspace_id = (SELECT public.sync_workspace()));
  END IF;
END $$;
--> statement-breakpoint
-- Some hosts grant everything in public to their API roles by default.
REVOKE ALL ON public.listings FROM PUBLIC, anon, authenticator;
--> statement-breakpoint
REVOKE TRUNCATE, REFERENCES, TRIGGER ON public.listings FROM service_role;
--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON public.listings TO service_role, sync_old;
--> statement-breakpoint
GRANT SELECT ON public.listings TO syncgate_readonly;
--> statement-breakpoint
NOTIFY pgrst, 'reload schema';

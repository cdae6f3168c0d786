DROP FUNCTION IF EXISTS public.sync_current_id();
--> statement-breakpoint
DROP FUNCTION IF EXISTS public.sync_writer();
--> statement-breakpoint
DROP FUNCTION IF EXISTS public.sync_workspace();
--> statement-breakpoint
DROP POLICY IF EXISTS schema_migrations_read ON public.schema_migrations;
--> statement-breakpoint
REVOKE SELECT ON public.schema_migrations FROM service_role, sync_old, syncgate_readonly;
--> statement-breakpoint
-- The roles stay: they belong to the whole cluster, and other databases may grant them rights.
-- Where none does: DROP ROLE sync_old, syncgate_readonly, authenticator, service_role, anon;
REVOKE USAGE ON SCHEMA public FROM sync_old, syncgate_readonly;
--> statement-breakpoint
NOTIFY pgrst, 'reload schema';

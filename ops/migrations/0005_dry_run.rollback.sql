DROP FUNCTION IF EXISTS public.sync_dry_run(text, jsonb, uuid);
--> statement-breakpoint
DROP FUNCTION IF EXISTS public.sync_restore_before(text, text[], uuid);
--> statement-breakpoint
NOTIFY pgrst, 'reload schema';

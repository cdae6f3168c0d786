DROP TABLE IF EXISTS public.sync_history;
--> statement-breakpoint
DROP TABLE IF EXISTS public.sync_state;
--> statement-breakpoint
DROP FUNCTION IF EXISTS public.sync_history_keep_state();
--> statement-breakpoint
DROP FUNCTION IF EXISTS public.sync_history_stamp();
--> statement-breakpoint
NOTIFY pgrst, 'reload schema';

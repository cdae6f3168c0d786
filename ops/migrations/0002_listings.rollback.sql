-- Takes the listings with it: `syncgate backup` first.
DROP TABLE IF EXISTS public.listings;
--> statement-breakpoint
DROP FUNCTION IF EXISTS public.listings_before_write();
--> statement-breakpoint
NOTIFY pgrst, 'reload schema';

-- Takes the journal with it: undo and shadow runs are not possible afterwards.
DROP TRIGGER IF EXISTS listings_refuse_truncate ON public.listings;
--> statement-breakpoint
DROP TRIGGER IF EXISTS listings_journal ON public.listings;
--> statement-breakpoint
DROP TABLE IF EXISTS public.listing_journal;
--> statement-breakpoint
DROP FUNCTION IF EXISTS public.listing_journal_guard();
--> statement-breakpoint
DROP FUNCTION IF EXISTS public.listings_refuse_truncate();
--> statement-breakpoint
DROP FUNCTION IF EXISTS public.listing_journal_write();
--> statement-breakpoint
NOTIFY pgrst, 'reload schema';

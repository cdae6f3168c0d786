"""The new sync service: listings into PostgreSQL through PostgREST, in batches."""

"""What people do to the data directly in PostgreSQL: migrate (and undo that), verify, repair."""

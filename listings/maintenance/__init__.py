"""What people do to the data directly in PostgreSQL: migrate, verify, repair, undo, back up."""

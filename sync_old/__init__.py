"""The old sync service: listings straight into PostgreSQL, row by row."""

"""`make demo`: one messy feed through the gateway into PostgreSQL by both ways, and the proof."""

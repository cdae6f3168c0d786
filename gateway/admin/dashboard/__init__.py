"""The dashboard: one small page, made on the server, which works without scripts."""

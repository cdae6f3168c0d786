"""Where listings come from: a table with headings, and the mapping that makes listings of it."""

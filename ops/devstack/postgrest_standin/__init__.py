"""
A stand-in for PostgREST, for machines where the real one cannot be had.

It speaks the part of PostgREST's language that this project uses: reads with filters, pages and
counts, bulk upserts, PATCH, DELETE, PUT, function calls, preferences, roles by JWT, error bodies.
One contract suite (tests/contract/postgrest) runs on the real binary and on this; where the two
would differ, the real one is right.

`query` reads what the URL asks, `preferences` what the Prefer header asks, `bodies` what the body
holds, `schema` what the database has; `statements` writes the SQL, `database` runs it, `answers`
and `failures` say what came of it, `app` carries a request through.
"""

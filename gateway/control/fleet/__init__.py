"""
A fleet of gateways that agree: every replica knows, one decides, all of them can take traffic back.

`postings` is what replicas tell one another, `outbox` gathers this one's, `members` reads the
others'; `agreement` settles which state is in force, `spare` keeps it on this replica's own disk,
and `fleet` runs the loops that join all this with the controller.
"""

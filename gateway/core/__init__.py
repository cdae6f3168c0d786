"""
The deciding core. Pure: no clock, no randomness, no I/O, no logging, no tasks.

Time and random draws are arguments; a decision is a function from frozen values to frozen values,
and what it wants done comes back as a description. So everything here can be run again: by a test,
by the simulator, by the replay of a stored decision.
"""

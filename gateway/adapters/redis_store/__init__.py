"""
A fleet's record, lease, board and shares in Redis (or Valkey).

What must happen at once happens in a Lua script beside the module that calls it; every key name is
in `keys`, every address in `address`, every way Redis can say no in `failures`.
"""

"""
The composition root: the one place that knows every class, joins them and starts them.

    parent   state directory locked -> ports bound -> state read -> workers up -> loops, admin port
    worker   its own process on the inherited socket (`gateway.proxy.worker`)
"""

from gateway.bootstrap.composition import Gateway, build
from gateway.bootstrap.files import read_policy
from gateway.bootstrap.running import run, serve

__all__ = ["Gateway", "build", "read_policy", "run", "serve"]

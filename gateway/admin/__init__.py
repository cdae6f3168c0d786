"""The admin port: what people and programs read of the rollout, and how they steer it."""

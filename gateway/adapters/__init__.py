"""What touches the world: clocks, the durable store, logs, metric text, people's inboxes."""

"""syncgate: moves live writes from an old system to a new one, and takes them back when it must."""

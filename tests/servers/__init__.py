"""Real servers for tests: PostgreSQL, the broker, and whole stacks of Vigil."""

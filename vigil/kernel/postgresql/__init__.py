"""Django's own backend for PostgreSQL, but for this: it waits no longer than `vigil.kernel.patience` lets it."""

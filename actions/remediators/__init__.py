"""How an action reaches the world: one module per kind of remediator; they share base, but do not know each other."""

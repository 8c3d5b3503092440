"""Policy tests: given series and events, a fake clock, and what should have happened by when."""

"""DECIDE: judge what was sensed, open incidents, order remedies, verify that they helped."""

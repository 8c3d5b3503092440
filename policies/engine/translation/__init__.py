"""PromQL -> conditions: what the condition table can say is translated, everything else is told why it is not."""

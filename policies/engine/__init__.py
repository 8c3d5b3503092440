"""The policy engine: values and a time in, values out. No framework, no clock, no input or output."""

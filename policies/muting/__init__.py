"""Muting: who wants no noise about what, until when, and why.

`silences`, `maintenance` and `inhibitions` write what people ask for, `common_causes` what Vigil notices by itself;
`kept` says what all of that means for an incident.
"""

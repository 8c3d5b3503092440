"""The languages of conditions in one place: JSON and sentences, both ways."""

from policies.engine.documents import TYPES, ConditionError, from_json, to_json
from policies.engine.parser import parse
from policies.engine.schema import json_schema
from policies.engine.sentences import to_sentence
from policies.engine.tokens import SentenceError

__all__ = [
    "TYPES",
    "ConditionError",
    "SentenceError",
    "from_json",
    "json_schema",
    "parse",
    "to_json",
    "to_sentence",
]

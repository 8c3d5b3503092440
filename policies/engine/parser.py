"""Read a sentence into a condition by recursive descent; `and` binds closer than `or`, `not` closer than both.

sentence   = both { "or" both }
both       = single { "and" single }
single     = "not" single | "(" sentence ")" [ for ] | leaf
leaf       = silence | events | anomaly | query | comparison | forecast
silence    = "no" selector for
events     = [ NUMBER ] [ severity ] selector ( "event" | "events" ) [ "in" DURATION ] [ resolved ] [ for ]
resolved   = "resolved" "by" ( selector | tags ) [ "with" "same" names ]
anomaly    = selector ( "anomalous" | "anomalously" ( "high" | "low" ) ) "over" DURATION
             [ "using" method [ "every" DURATION ] ] [ "beyond" NUMBER "sigma" ] [ for ]
query      = "promql" TEXT [ "from" name ] [ for ]
comparison = value [ "/" value ] sign NUMBER { tail } | value "outside" range { tail }
forecast   = selector ( ">" | "<" ) NUMBER "within" DURATION [ "," ] "from" DURATION [ for ]
tail       = "on" ( "all" | "any" ) "series" | "recover" "at" ( NUMBER | range ) | for
value      = selector | across "(" value [ by ] ")" | aggregate "(" selector "," DURATION ")"
             | "quantile" "(" NUMBER "," selector "," DURATION ")"
by         = "by" names            (also before the bracket or after it, as in PromQL)
selector   = name [ tags ]
tags       = "{" name operator TEXT { "," name operator TEXT } "}"
names      = name { "," name } | "(" name { "," name } ")"
range      = NUMBER ".." NUMBER
for        = "for" DURATION
"""

from dataclasses import replace

from policies.engine import rules
from policies.engine.conditions import Absent, AllOf, AnyOf, Condition, Not
from policies.engine.leaves import Leaves
from policies.engine.tokens import Kind, SentenceError

_MOST_BRACKETS = 40
_CONTINUATIONS = ("and", "or", "for", "recover", "on", "in", "within", "resolved", "beyond", "using")


def parse(sentence: str) -> Condition:
    """The condition a sentence describes; raises SentenceError that points at the place."""
    parser = _Parser(sentence)
    condition = parser.sentence()
    parser.finish()
    problem = next(rules.problems(condition), None)
    if problem is not None:
        raise SentenceError(sentence=sentence, position=0, expected=problem[1])
    return condition


class _Parser(Leaves):
    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self._brackets = 0

    def sentence(self) -> Condition:
        members = [self._both()]
        while self.skip_word("or"):
            members.append(self._both())
        return members[0] if len(members) == 1 else AnyOf(conditions=tuple(members))

    def finish(self) -> None:
        if self.next.kind is not Kind.END:
            self.fail("expected `and`, `or`, `for` or the end", known=_CONTINUATIONS)

    def _both(self) -> Condition:
        members = [self._single()]
        while self.skip_word("and"):
            members.append(self._single())
        return members[0] if len(members) == 1 else AllOf(conditions=tuple(members))

    def _single(self) -> Condition:
        if self.skip_word("not"):
            self._deeper()
            condition: Condition = Not(condition=self._single())
            self._brackets -= 1
            return condition
        if self.skip_sign("("):
            self._deeper()
            condition = self._closed()
            self._brackets -= 1
            return condition
        return self.leaf()

    def _deeper(self) -> None:
        self._brackets += 1
        if self._brackets > _MOST_BRACKETS:
            self.fail(f"at most {_MOST_BRACKETS} brackets and `not` may be open at once")

    def _closed(self) -> Condition:
        """The rest of a bracket, and the `for` that may follow it."""
        inner = self.sentence()
        self.expect_sign(")", "expected `and`, `or` or `)`", known=_CONTINUATIONS)
        if not self.is_word("for"):
            return inner
        if isinstance(inner, Absent) or inner.hold_for:
            self.fail("what is in the bracket has a `for` already")
        return replace(inner, hold_for=self.hold())

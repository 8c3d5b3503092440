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
from typing import NoReturn

from policies.engine import habits, rules
from policies.engine.conditions import Absent, AllOf, AnyOf, Condition, Not
from policies.engine.leaves import Leaves
from policies.engine.tokens import Kind, Token

_MOST_BRACKETS = 40
_CONTINUATIONS = ("and", "or", "for", "recover", "on", "in", "within", "resolved", "beyond", "using")


def parse(sentence: str) -> Condition:
    """The condition a sentence describes; raises SentenceError that points at the place."""
    parser = _Parser(sentence)
    condition = parser.sentence()
    parser.finish()
    problem = next(rules.problems(condition), None)
    if problem is not None:
        parser.complain(condition, *problem)
    return condition


class _Parser(Leaves):
    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self._brackets = 0

    def sentence(self) -> Condition:
        start = self.next
        members = [self._both()]
        while self.skip_word("or"):
            members.append(self._both())
        return members[0] if len(members) == 1 else self._whole(AnyOf(conditions=tuple(members)), start)

    def finish(self) -> None:
        if self.next.kind is not Kind.END:
            self._stray("expected `and`, `or`, `for` or the end")

    def complain(self, condition: Condition, path: str, message: str) -> NoReturn:
        """Stop, pointing at the place in the sentence that this path leads to in the condition."""
        for step, child in rules.steps(condition):
            if path == step or path.startswith(f"{step}."):
                self.complain(child, path.removeprefix(step).removeprefix("."), message)
        self.fail(message, at=self.place_of(condition).of(path))

    def _both(self) -> Condition:
        start = self.next
        members = [self._single()]
        while self.skip_word("and"):
            members.append(self._single())
        return members[0] if len(members) == 1 else self._whole(AllOf(conditions=tuple(members)), start)

    def _single(self) -> Condition:
        start = self.next
        if self.skip_word("not"):
            self._deeper()
            condition = self._whole(Not(condition=self._single()), start)
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
        if not self.skip_sign(")"):
            self._stray("expected `and`, `or` or `)`")
        if not self.is_word("for"):
            return inner
        if isinstance(inner, Absent) or inner.hold_for:
            self.fail("what is in the bracket has a `for` already")
        known, hold = self.place_of(inner), self.next
        held = replace(inner, hold_for=self.hold())
        self.note(held, known.start, {**known.fields, "for": hold})
        return held

    def _whole(self, condition: Condition, start: Token) -> Condition:
        self.note(condition, start, {})
        return condition

    def _stray(self, expected: str) -> NoReturn:
        """What stands behind a condition that was whole does not belong there."""
        number = habits.thousands(self._sentence, self.before.start)
        if number is not None and self.sign_at(0, ","):
            self.fail(f"write `{number}`, without `,`")
        instead = habits.instead_of_following(self.next.text, self.peek(1).text)
        if instead is not None and self.next.kind is not Kind.TEXT:
            self.fail(instead)
        self.fail(expected, known=_CONTINUATIONS)

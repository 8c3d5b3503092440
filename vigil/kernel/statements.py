"""Statements that run often, put together once in a process: that costs Django more than carrying them out costs.

They are written as querysets, whose changing values are `Given`; so there is one text for all databases, and a renamed
column is an error of the type checker's or the first test's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.models import Expression, Field, Model, Q, QuerySet, query, sql


class Given(Expression):
    """Stands in a queryset for a value of the field that is said when the statement runs."""

    def __init__(self, name: str, field: "Field[Any, Any]") -> None:
        super().__init__(output_field=field)
        self.name = name
        self._field = field

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
        """A place for a parameter, and itself as what is to be put there."""
        return "%s", (self,)

    def of(self, values: Mapping[str, object], connection: Any) -> object:
        """The value as the database wants it."""
        return self._field.get_db_prep_value(values[self.name], connection, prepared=False)


class Select[M: Model]:
    """A SELECT of whole rows. What it selects along with them comes with them, annotations too."""

    def __init__(self, rows: Callable[[], QuerySet[M]]) -> None:
        """`rows` is asked once for each kind of database."""
        self._rows = rows
        self._compiled: dict[str, tuple[str, Sequence[Any], _Shape]] = {}

    def __call__(self, *, using: str = DEFAULT_DB_ALIAS, **given: object) -> list[M]:
        """The rows, with these values given."""
        connection = connections[using]
        text, parameters, shape = self._in(connection.vendor, using)
        return [shape.row(values) for values in shape.plain(_run(connection, text, parameters, given, fetch=True))]

    def one(self, *, using: str = DEFAULT_DB_ALIAS, **given: object) -> M | None:
        """The first row, or None."""
        return next(iter(self(using=using, **given)), None)

    def _in(self, vendor: str, using: str) -> "tuple[str, Sequence[Any], _Shape]":
        if vendor not in self._compiled:
            compiler = self._rows().using(using).query.get_compiler(using)
            text, parameters = compiler.as_sql()
            self._compiled[vendor] = (text, parameters, _Shape(compiler, using))
        return self._compiled[vendor]


def update(
    model: type[Model],
    *,
    where: Q,
    equal: Mapping[str, object],
    values: Mapping[str, object],
    using: str = DEFAULT_DB_ALIAS,
) -> int:
    """Set `values` where the columns are `equal` and `where` holds; how many rows that were.

    Put together once for each `where`, so that has to be a constant of its module, and for each set of names.
    Expressions among the values are part of the text, and must be constants as well.
    """
    connection = connections[using]
    plain = {name: value for name, value in values.items() if not hasattr(value, "resolve_expression")}
    computed = tuple((name, value) for name, value in values.items() if name not in plain)
    text, parameters = _update(model, _Same(where), tuple(equal), tuple(plain), computed, connection.vendor, using)
    given = {f"old {name}": value for name, value in equal.items()} | plain
    return int(_run(connection, text, parameters, given, fetch=False))


def insert(row: Model, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Insert a new row, whose key the database makes. No signal is sent."""
    connection = connections[using]
    model = type(row)
    text, parameters = _insert(model, connection.vendor, using)
    given = {field.attname: getattr(row, field.attname) for field in _written(model)}
    ((row.pk,),) = _run(connection, text, parameters, given, fetch=True)
    row._state.adding, row._state.db = False, using


class _Same:
    """Compares by identity: a condition is taken for known only when it is the same object."""

    def __init__(self, where: Q) -> None:
        self.where = where

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.where is other.where

    def __hash__(self) -> int:
        return id(self.where)


@lru_cache(maxsize=256)
def _update(
    model: type[Model],
    same: _Same,
    equal: tuple[str, ...],
    plain: tuple[str, ...],
    computed: tuple[tuple[str, Any], ...],
    _vendor: str,
    using: str,
) -> tuple[str, Sequence[Any]]:
    fields = model._meta.get_field
    is_now = {name: Given(f"old {name}", cast("Field[Any, Any]", fields(name))) for name in equal}
    becomes = {name: Given(name, cast("Field[Any, Any]", fields(name))) for name in plain}
    statement = model._base_manager.filter(same.where, **is_now).order_by().query.chain(sql.UpdateQuery)
    cast("Any", statement).add_update_values({**becomes, **dict(computed)})
    return cast("tuple[str, Sequence[Any]]", statement.get_compiler(using).as_sql())


@lru_cache(maxsize=64)
def _insert(model: type[Model], _vendor: str, using: str) -> tuple[str, Sequence[Any]]:
    fields = _written(model)
    row = model(**{field.attname: Given(field.attname, field) for field in fields})
    statement: Any = sql.InsertQuery(model)
    statement.insert_values(fields, [row], raw=True)
    compiler = statement.get_compiler(using)
    compiler.returning_fields = [model._meta.pk]
    ((text, parameters),) = compiler.as_sql()
    return text, parameters


def _written(model: type[Model]) -> "list[Field[Any, Any]]":
    return [field for field in model._meta.concrete_fields if not field.primary_key]


def _run(connection: Any, text: str, parameters: Sequence[Any], given: Mapping[str, object], *, fetch: bool) -> Any:
    said = [one.of(given, connection) if isinstance(one, Given) else one for one in parameters]
    with planned(connection) as cursor:
        cursor.execute(text, said)
        return cursor.fetchall() if fetch else cursor.rowcount


class _Planned(cast("Any", ServerBindingCursor)):  # type: ignore[misc]
    """Remembers what it sent, for those who look at what Django logs of statements."""

    def _convert_query(self, query: Any, params: Any = None) -> Any:
        self._query = super()._convert_query(query, params)
        return self._query


def planned(connection: Any) -> Any:
    """A cursor that on PostgreSQL lets the server keep the plans of what it runs.

    Django's own sends each text with its values, to be planned anew. What is often run costs the server half as much
    so. Its texts must be few, or the server keeps plans that nobody asks for again.
    """
    if connection.vendor != "postgresql":
        return connection.cursor()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return connection._prepare_cursor(_Planned(connection.connection))


class _Shape:
    """How rows are made of what the database gives: as Django's own querysets make them."""

    def __init__(self, compiler: Any, using: str) -> None:
        info, select = compiler.klass_info, compiler.select
        columns = info["select_fields"]
        self._compiler, self._using, self._model = compiler, using, info["model"]
        self._own = slice(columns[0], columns[-1] + 1)
        self._names = [column[0].target.attname for column in select[self._own]]
        self._related = cast("Any", query).get_related_populators(info, select, using)
        self._converters = compiler.get_converters([column[0] for column in select])
        self._annotated = tuple(compiler.annotation_col_map.items())

    def plain(self, found: list[Any]) -> Iterable[Any]:
        """The values as Python has them."""
        if not self._converters:
            return found
        return cast("Iterable[Any]", self._compiler.apply_converters(found, self._converters))

    def row(self, values: Any) -> Any:
        made = self._model.from_db(self._using, self._names, values[self._own])
        for one in self._related:
            one.populate(values, made)
        for name, position in self._annotated:
            setattr(made, name, values[position])
        return made

"""On PostgreSQL samples get a table per day; on both databases, rollups of them.

A table of samples that is there already becomes the first partition as it is: nothing is copied. What takes long
(looking at every row once, and building the key) holds up nobody, and a migration that was interrupted goes on where it
was. Only the last step needs the table for itself, for some milliseconds.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import migrations, models, transaction
from django.utils import timezone

LARGEST = 1.7976931348623157e308
FINITE = f"CHECK (value >= {-LARGEST!r}::float8 AND value <= {LARGEST!r}::float8)"
BEFORE = "sample_before_partitions"
KEY = "metrics_sample_legacy_key"
SAMPLE = """
    id bigint NOT NULL DEFAULT nextval('metrics_sample_id_seq'),
    value double precision NOT NULL,
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    series_id bigint NOT NULL
"""
ROLLUPS = ("metrics_rollup_1m", "metrics_rollup_5m", "metrics_rollup_1h")
ROLLUP = """
    series_id bigint NOT NULL,
    bucket integer NOT NULL,
    count integer NOT NULL,
    total double precision,
    low double precision NOT NULL,
    high double precision NOT NULL,
    last double precision NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (series_id, bucket)
"""


def _partition_samples(apps: Any, schema_editor: Any) -> None:
    connection = schema_editor.connection
    if connection.vendor != "postgresql" or _is_partitioned(connection):
        return
    if _ask(connection, "SELECT EXISTS (SELECT FROM metrics_sample)"):
        _prepare_to_attach(connection)
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '10s'")
        cursor.execute("LOCK TABLE metrics_sample IN ACCESS EXCLUSIVE MODE")
        _begin_partitions(connection, cursor)


def _prepare_to_attach(connection: Any) -> None:
    """What a partition has to have, made while others read and write."""
    allowed = _ask(connection, "SHOW statement_timeout")
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        try:
            bound = _bound(connection)
            if bound is None or bound < _midnight(days=1):
                bound = _midnight(days=2)
                cursor.execute(f"ALTER TABLE metrics_sample DROP CONSTRAINT IF EXISTS {BEFORE}")
                cursor.execute(f"ALTER TABLE metrics_sample ADD CONSTRAINT {BEFORE} CHECK (at < '{bound}') NOT VALID")
            cursor.execute(f"ALTER TABLE metrics_sample VALIDATE CONSTRAINT {BEFORE}")
            _build_key(connection, cursor)
        finally:
            cursor.execute(f"SET statement_timeout = '{allowed}'")


def _build_key(connection: Any, cursor: Any) -> None:
    valid = _ask(connection, "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [KEY])
    if valid is False:  # an earlier run was interrupted
        cursor.execute(f"DROP INDEX {KEY}")
    if not valid:
        cursor.execute("SET lock_timeout = 0")  # it waits for those who write, and holds up none
        try:
            cursor.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {KEY} ON metrics_sample (series_id, at, id)")
        finally:
            cursor.execute("RESET lock_timeout")


def _begin_partitions(connection: Any, cursor: Any) -> None:
    """In one transaction, and all of it quick: no row is looked at or moved."""
    bound = _bound(connection)
    finite = _finite(connection)
    following = _ask(connection, "SELECT nextval(pg_get_serial_sequence('metrics_sample', 'id'))")
    if bound is None:
        cursor.execute("DROP TABLE metrics_sample")
    else:
        _step_aside(cursor)
    cursor.execute(f"CREATE SEQUENCE metrics_sample_id_seq START {following}")
    cursor.execute(
        f"CREATE TABLE metrics_sample ({SAMPLE}, CONSTRAINT sample_value_finite {finite}, "
        "PRIMARY KEY (series_id, at, id)) PARTITION BY RANGE (at)"
    )
    cursor.execute("ALTER SEQUENCE metrics_sample_id_seq OWNED BY metrics_sample.id")
    if bound is not None:
        cursor.execute(
            "ALTER TABLE metrics_sample ATTACH PARTITION metrics_sample_legacy "
            f"FOR VALUES FROM (MINVALUE) TO ('{bound}')"
        )
        cursor.execute(f"ALTER TABLE metrics_sample_legacy DROP CONSTRAINT {BEFORE}")
    cursor.execute("CREATE TABLE metrics_sample_default PARTITION OF metrics_sample DEFAULT")
    cursor.execute("CREATE INDEX metrics_sample_default_at ON metrics_sample_default (at)")
    for days in range(-1, 4):
        since = _midnight(days=days)
        if bound is None or since >= bound:
            cursor.execute(
                f"CREATE TABLE metrics_sample_{since:%Y%m%d} PARTITION OF metrics_sample "
                f"FOR VALUES FROM ('{since}') TO ('{since + timedelta(days=1)}')"
            )


def _step_aside(cursor: Any) -> None:
    """The table that was becomes the one of all samples until now."""
    for statement in (
        "ALTER TABLE metrics_sample ALTER COLUMN id DROP IDENTITY IF EXISTS",
        "ALTER TABLE metrics_sample DROP CONSTRAINT metrics_sample_pkey",
        f"ALTER TABLE metrics_sample ADD CONSTRAINT {KEY} PRIMARY KEY USING INDEX {KEY}",
        "ALTER TABLE metrics_sample RENAME TO metrics_sample_legacy",
        "DROP INDEX sample_by_series_and_time",  # the key begins with the same columns
        "ALTER INDEX sample_by_time RENAME TO metrics_sample_legacy_at",
    ):
        cursor.execute(statement)


def _gather_samples(apps: Any, schema_editor: Any) -> None:
    """Back into one table. This copies every sample."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql" or not _is_partitioned(connection):
        return
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        for statement in (
            "SET LOCAL statement_timeout = 0",
            "LOCK TABLE metrics_sample IN ACCESS EXCLUSIVE MODE",
            "ALTER TABLE metrics_sample RENAME TO metrics_sample_parted",
            "ALTER INDEX metrics_sample_pkey RENAME TO metrics_sample_parted_pkey",
            "ALTER SEQUENCE metrics_sample_id_seq RENAME TO metrics_sample_parted_seq",
            "CREATE TABLE metrics_sample (id bigint NOT NULL PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, "
            "value double precision NOT NULL, at timestamptz NOT NULL, received_at timestamptz NOT NULL, "
            f"series_id bigint NOT NULL, CONSTRAINT sample_value_finite {FINITE})",
            "INSERT INTO metrics_sample (id, value, at, received_at, series_id) "
            "SELECT id, value, at, received_at, series_id FROM metrics_sample_parted",
            "SELECT setval('metrics_sample_id_seq', nextval('metrics_sample_parted_seq'))",
            "DROP TABLE metrics_sample_parted",
            "CREATE INDEX sample_by_series_and_time ON metrics_sample (series_id, at)",
            "CREATE INDEX sample_by_time ON metrics_sample (at)",
        ):
            cursor.execute(statement)


def _make_rollups(apps: Any, schema_editor: Any) -> None:
    connection = schema_editor.connection
    with transaction.atomic(using=connection.alias):
        there = set(connection.introspection.table_names())
        for name in ("Rollup1m", "Rollup5m", "Rollup1h", "RollupProgress", "LateSample"):
            model = apps.get_model("metrics", name)
            if model._meta.db_table not in there:
                _make(model, schema_editor)


def _make(model: Any, schema_editor: Any) -> None:
    table = model._meta.db_table
    if table not in ROLLUPS:
        schema_editor.create_model(model)
    elif schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"CREATE TABLE {table} ({ROLLUP}) PARTITION BY RANGE (bucket)")
        schema_editor.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
        schema_editor.execute(f"CREATE INDEX {table}_default_bucket ON {table}_default (bucket)")
    else:
        schema_editor.create_model(model)
        schema_editor.execute(f"CREATE INDEX {table}_bucket ON {table} (bucket)")


def _drop_rollups(apps: Any, schema_editor: Any) -> None:
    for name in ("LateSample", "RollupProgress", "Rollup1h", "Rollup5m", "Rollup1m"):
        schema_editor.delete_model(apps.get_model("metrics", name))


def _is_partitioned(connection: Any) -> bool:
    return bool(_ask(connection, "SELECT relkind = 'p' FROM pg_class WHERE oid = 'metrics_sample'::regclass"))


def _finite(connection: Any) -> str:
    """As the table itself says it: what is attached must say the same in the same words, and Django's are not ours."""
    return _constraint(connection, "sample_value_finite") or FINITE


def _constraint(connection: Any, name: str) -> str | None:
    sql = """
        SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s AND conrelid = 'metrics_sample'::regclass
    """
    told = _ask(connection, sql, [name])
    return None if told is None else str(told)


def _bound(connection: Any) -> datetime | None:
    """The time that all samples of the table are before, by its constraint; None without one."""
    told = _constraint(connection, BEFORE)
    return None if told is None else datetime.fromisoformat(told.split("'")[1]).astimezone(UTC)


def _midnight(*, days: int) -> datetime:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)  # noqa: TID251  nobody to ask at the door
    return today + timedelta(days=days)


def _ask(connection: Any, sql: str, parameters: Any = None) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row = cursor.fetchone()
        return None if row is None else row[0]


def _rollup(name: str) -> migrations.CreateModel:
    return migrations.CreateModel(
        name=f"Rollup{name}",
        fields=[
            ("pk", models.CompositePrimaryKey("series_id", "bucket", serialize=False)),
            ("series_id", models.BigIntegerField()),
            ("bucket", models.IntegerField()),
            ("count", models.IntegerField()),
            ("total", models.FloatField(null=True)),
            ("low", models.FloatField()),
            ("high", models.FloatField()),
            ("last", models.FloatField()),
            ("last_at", models.DateTimeField()),
        ],
        options={"db_table": f"metrics_rollup_{name}", "abstract": False},
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("metrics", "0005_series_room_on_page")]

    operations = [
        migrations.RunPython(_partition_samples, _gather_samples),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                _rollup("1m"),
                _rollup("5m"),
                _rollup("1h"),
                migrations.CreateModel(
                    name="RollupProgress",
                    fields=[
                        ("id", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                        ("since", models.IntegerField()),
                        ("until", models.IntegerField()),
                        ("announced", models.IntegerField()),
                    ],
                ),
                migrations.CreateModel(
                    name="LateSample",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("series_id", models.BigIntegerField()),
                        ("minute", models.IntegerField()),
                    ],
                ),
            ],
        ),
        migrations.RunPython(_make_rollups, _drop_rollups),
    ]

"""Queries against a gold query."""

import pytest

from synthgain.curate import load
from synthgain.curate.sql import Sql, query_in
from synthgain.sandbox import shared
from synthgain.sandbox.inside.queries import in_order
from synthgain.types import Anchor, Row, SynthgainError, Verdict

SCHEMA = "CREATE TABLE towns (name TEXT, people INT, lake TEXT); INSERT INTO towns VALUES ('Orrin', 30, 'Ell');"
ROWS = {"towns": [["Dunlow", 20, "Ell"], {"name": "Castor", "people": 20, "lake": None}]}
CHECK = Sql()


@pytest.fixture(autouse=True, scope="module")
def there() -> None:
    try:
        CHECK.ready()
    except SynthgainError as error:
        pytest.skip(error.what)


def judged(query: str, gold: str, rows: object = ROWS, check: Sql = CHECK, schema: str = SCHEMA) -> Verdict:
    return check(Row(text=query), [Anchor("which?", "", {"sql": gold, "schema": schema, "rows": rows})])


ALL = "SELECT name FROM towns"


@pytest.mark.parametrize(
    "query, gold",
    [
        (ALL, ALL),
        ("SELECT name FROM towns ORDER BY name", ALL),
        ("SELECT t.name AS n FROM towns t", ALL),
        ("```sql\nSELECT name FROM towns;\n```\nThis lists them.", ALL),
        ("The query is:\n\nselect name from towns;\n\nIt lists them.", ALL),
        ("WITH t AS (SELECT * FROM towns) SELECT name FROM t", ALL),
        ("SELECT people, name FROM towns ORDER BY people DESC, name", "SELECT people, name FROM towns ORDER BY people DESC, name"),
        ("SELECT 0.1 + 0.2", "SELECT 0.3"),
        ("SELECT 2.0", "SELECT 2"),
        ("SELECT lake FROM towns", "SELECT lake FROM towns"),
        ("SELECT count(*) FROM towns -- ORDER BY x", "SELECT 3"),
        ("SELECT name FROM (SELECT * FROM towns ORDER BY people)", ALL),
    ],
)  # fmt: skip
def test_the_same_result_stays(query: str, gold: str) -> None:
    assert judged(query, gold).keeps


@pytest.mark.parametrize(
    "query, gold, reason",
    [
        ("SELECT people FROM towns", ALL, "wrong"),
        ("SELECT name FROM towns LIMIT 2", ALL, "wrong"),
        ("SELECT name FROM towns UNION ALL SELECT name FROM towns", ALL, "wrong"),
        ("SELECT DISTINCT people FROM towns", "SELECT people FROM towns", "wrong"),
        ("SELECT name FROM towns ORDER BY name DESC", "SELECT name FROM towns ORDER BY name", "wrong"),
        ("SELECT name, people FROM towns", "SELECT people, name FROM towns", "wrong"),
        ("SELECT nothing FROM towns", ALL, "error"),
        ("SELECT name FROM", ALL, "error"),
        ("SELECT 1; SELECT 2", ALL, "wrong"),
        ("```sql\nSELECT 1; DROP TABLE towns\n```", ALL, "error"),
        ("```sql\nWITH t AS (SELECT 1) DELETE FROM towns\n```", ALL, "refused"),
        ("SELECT load_extension('x')", ALL, "refused"),
        ("SELECT random()", "SELECT 5", "refused"),
        ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t", ALL, "time"),
        ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 200000) SELECT n FROM t", ALL, "output"),
        ("I do not know.", ALL, "no query"),
        ("", ALL, "no text"),
        (ALL, "SELECT nothing", "gold query that cannot be used"),
        (ALL, "SELECT name FROM towns WHERE people > 99", "gold query that cannot be used"),
        (ALL, "DROP TABLE towns", "gold query that cannot be used"),
    ],
)
def test_another_result_falls_for_its_reason(query: str, gold: str, reason: str) -> None:
    assert judged(query, gold).reason == reason


def test_memory_is_bounded() -> None:
    much = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 5000) SELECT hex(zeroblob(400000)) || n AS x FROM t ORDER BY x"
    assert judged(much, ALL, check=Sql(steps=10**9)).reason in ("memory", "output", "error")
    assert judged(ALL, ALL).keeps


def test_a_schema_or_rows_that_cannot_be_used_are_the_golds_fault() -> None:
    for schema, rows in (
        ("CREATE TABEL x", None),
        (SCHEMA, {"nowhere": [[1]]}),
        (SCHEMA, "[1"),
        ("ATTACH 'x' AS y", None),
        (SCHEMA, [1]),
    ):
        assert judged(ALL, ALL, rows, schema=schema).reason == "gold query that cannot be used"
    assert CHECK(Row(text=ALL), [Anchor("", "", {"schema": SCHEMA})]).reason == "no gold query"
    assert judged(ALL, ALL, '{"towns": [["Dunlow", 20, "Ell"]]}').keeps


def test_steps_decide_and_not_seconds() -> None:
    query = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 2000) SELECT count(*) FROM t"
    few = load("sql:steps=5000")
    assert isinstance(few, Sql)
    assert [judged(query, "SELECT 2000", check=few).reason for _ in range(3)] == ["time"] * 3
    assert judged(query, "SELECT 2000").keeps


def test_where_order_is_asked_for() -> None:
    assert in_order("SELECT a FROM t ORDER BY a") and in_order("select a from (select 1) order  by a")
    assert not in_order("SELECT a FROM (SELECT a FROM t ORDER BY a)")
    assert not in_order("SELECT 'x ORDER BY y', \"ORDER BY\" FROM t -- ORDER BY a\n /* ORDER BY b */")
    assert not in_order("SELECT row_number() OVER (ORDER BY (a + (b))) FROM t")


def test_where_a_query_stands() -> None:
    assert query_in("<think>SELECT 1</think>\nSELECT 2;\nmore") == "SELECT 2"
    assert query_in("```\nSELECT 1\n```\nbetter:\n```sql\n-- best\nSELECT 2;\n```") == "SELECT 2"
    assert query_in("```python\nprint(1)\n```") is None and query_in("with nothing") == "with nothing"


def teardown_module() -> None:
    shared().close()

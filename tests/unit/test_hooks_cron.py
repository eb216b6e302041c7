"""Schedules: cron expressions are read as the published service reads them, in UTC, and refused with what is wrong."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tcbox.services.hooks import cron


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def shown(time: int | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


# What follows an expression: as cron-parser 5.6.2 says it, for which these and 12,000 made-up ones were compared.
COMING = [
    ("five fields", "30 4 * * *", "2026-01-31T04:30:00", ["2026-02-01T04:30:00", "2026-02-02T04:30:00"]),
    ("six fields begin with seconds", "15 30 4 * * *", "2026-01-31T04:30:00", ["2026-01-31T04:30:15", "2026-02-01T04:30:15"]),
    ("every second", "* * * * * *", "2026-12-31T23:59:58", ["2026-12-31T23:59:59", "2027-01-01T00:00:00"]),
    ("steps", "*/20 9-17/4 * * *", "2026-03-01T09:30:00", ["2026-03-01T09:40:00", "2026-03-01T13:00:00"]),
    ("steps from a value", "50/4 0 * * *", "2026-03-01T00:00:00", ["2026-03-01T00:50:00", "2026-03-01T00:54:00", "2026-03-01T00:58:00", "2026-03-02T00:50:00"]),
    ("lists", "0 6,18 1,15 * *", "2026-03-01T06:00:00", ["2026-03-01T18:00:00", "2026-03-15T06:00:00"]),
    ("a range of one", "0 0 3-3 * *", "2026-03-04T00:00:00", ["2026-04-03T00:00:00"]),
    ("the 31st skips short months", "0 0 31 * *", "2026-01-31T00:00:00", ["2026-03-31T00:00:00", "2026-05-31T00:00:00"]),
    ("the last day of the month", "0 0 L * *", "2027-12-31T00:00:00", ["2028-01-31T00:00:00", "2028-02-29T00:00:00", "2028-03-31T00:00:00"]),
    ("a leap day", "0 12 29 2 *", "2026-01-01T00:00:00", ["2028-02-29T12:00:00", "2032-02-29T12:00:00"]),
    ("no leap day in 2100", "0 0 29 2 *", "2096-03-01T00:00:00", ["2104-02-29T00:00:00"]),
    ("weekdays", "0 9 * * 1-5", "2026-01-02T10:00:00", ["2026-01-05T09:00:00"]),
    ("weekdays by name", "0 9 * jan,Mar MON-fri", "2026-01-30T10:00:00", ["2026-03-02T09:00:00"]),
    ("Sunday is 0 and 7", "0 0 * * 7", "2026-01-01T00:00:00", ["2026-01-04T00:00:00", "2026-01-11T00:00:00"]),
    ("day of month or of week when both are given", "0 0 13 * 5", "2026-02-01T00:00:00", ["2026-02-06T00:00:00", "2026-02-13T00:00:00", "2026-02-20T00:00:00"]),
    ("a step of days counts as given", "0 0 */15 * 1", "2026-02-03T00:00:00", ["2026-02-09T00:00:00", "2026-02-16T00:00:00"]),
    ("the third Thursday", "0 0 * * 4#3", "2026-01-01T00:00:00", ["2026-01-15T00:00:00", "2026-02-19T00:00:00"]),
    ("the last Friday", "0 0 * * 5L", "2026-01-01T00:00:00", ["2026-01-30T00:00:00", "2026-02-27T00:00:00"]),
    ("a question mark is a star", "0 0 ? * 1", "2026-01-01T00:00:00", ["2026-01-05T00:00:00"]),
    ("a name", "@weekly", "2026-01-01T00:00:00", ["2026-01-04T00:00:00"]),
    ("spaces", "  0\t0   1 1 *  ", "2026-01-01T00:00:00", ["2027-01-01T00:00:00"]),
    ("no hour is skipped in March", "30 2 * * *", "2026-03-28T03:00:00", ["2026-03-29T02:30:00", "2026-03-30T02:30:00"]),
    ("no hour comes twice in October", "30 2 * * *", "2026-10-24T03:00:00", ["2026-10-25T02:30:00", "2026-10-26T02:30:00"]),
]


@pytest.mark.parametrize(("expression", "after", "expected"), [case[1:] for case in COMING], ids=[case[0] for case in COMING])
def test_dates_come_as_the_expression_says(expression, after, expected):
    """Each expression comes at the dates that the published service gives it."""
    time, found = ms(after), []
    for _ in expected:
        time = cron.next_after([expression], time)
        found.append(shown(time))
    assert found == expected


def test_the_zone_of_the_machine_has_no_effect(monkeypatch):
    """A schedule is in UTC wherever the machine is, on days on which clocks are changed there too."""
    import time

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert shown(cron.next_after(["30 2 * * *"], ms("2026-03-08T00:00:00"))) == "2026-03-08T02:30:00"
        assert shown(cron.next_after(["30 1 * * *"], ms("2026-11-01T01:30:00"))) == "2026-11-02T01:30:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_of_several_expressions_the_first_counts():
    """With several expressions the earliest date of any comes next; without one none does."""
    several = ["0 0 9,21 * * 1-5", "0 0 12 * * 0,6"]
    time, found = ms("2026-01-02T08:00:00"), []
    for _ in range(4):
        time = cron.next_after(several, time)
        found.append(shown(time))
    assert found == ["2026-01-02T09:00:00", "2026-01-02T21:00:00", "2026-01-03T12:00:00", "2026-01-04T12:00:00"]
    assert cron.next_after([], time) is None


def test_within_a_second_the_next_one_comes():
    """A time with milliseconds is followed by a later one, never by its own second."""
    assert shown(cron.next_after(["* * * * * *"], ms("2026-01-01T00:00:00") + 999)) == "2026-01-01T00:00:01"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "has 0 fields: write five"), ("0 0", "has 2 fields"), ("1 2 3 4 5 6 7", "has 7 fields"), ("60 0 * * *", "no valid minute: '60' is not from 0 to 59"),
        ("60 0 0 * * *", "no valid second"), ("0 24 * * *", "no valid hour"), ("0 0 0 * *", "no valid day of month: '0' is not from 1 to 31"),
        ("0 0 * 13 *", "no valid month"), ("0 0 * * 8", "no valid day of week"), ("0 0 * foo *", "nor one of jan, feb"), ("5-1 * * * *", "ends before it begins"),
        ("*/0 * * * *", "repeats at '0'"), ("*/x * * * *", "repeats at 'x'"), ("1,,2 * * * *", "no valid minute"), ("-1 * * * *", "no valid minute"),
        ("0 0 30 2 *", "never comes"), ("0 0 31 4,6 *", "never comes"), ("0 0 * * L", "no valid day of week"), ("0 0 * * 1#6", "as 2#1 for the first Tuesday"),
        ("0 0 * * 1#2,3", "as 2#1"), ("0 0 LW * *", "no valid day of month"), ("0 0 * * 1W", "no valid day of week"), ("@reboot", "has 1 fields"),
        ("H(9-2) * * * *", "end before it begins"), ("H/0 * * * *", "repeats at 0"), ("*/\u0661 * * * *", "repeats at"), ("H(0-80) * * * *", "from 0 to 59"), ("\u0661 * * * *", "no valid minute"), ("1" * 5000 + " * * * *", "5008"), ("a b c d e", "no valid minute"),
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused_with_what_is_wrong(expression, words):
    """A bad expression is refused, and the message names the field and what it may be."""
    with pytest.raises(cron.CronError) as refused:
        cron.check([expression], ms("2026-01-01T00:00:00"))
    assert words in str(refused.value)


def test_h_is_always_the_same_for_one_hook_and_spread_over_many():
    """`H` stands for some value of the field, by the hook's name."""
    at = ms("2026-01-01T00:00:00")
    found = {cron.next_after(["H H * * *"], at, f"g/{number}") for number in range(200)}
    assert len(found) > 150
    assert cron.next_after(["H H * * *"], at, "g/1") == cron.next_after(["H H * * *"], at, "g/1")
    for number in range(50):
        minutes = cron.read("H/15 * * * *", str(number)).split()[1].split(",")
        assert len(minutes) == 4 and all(int(two) - int(one) == 15 for one, two in zip(minutes, minutes[1:]))
        assert 10 <= int(cron.read("H(10-20) * * * *", str(number)).split()[1]) <= 20
        assert {int(each) for each in cron.read("H(10-50)/20 * * * *", str(number)).split()[1].split(",")} <= set(range(10, 51))


def field(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    pair = st.tuples(value, value).map(sorted)
    item = st.one_of(
        value.map(str), pair.map(lambda two: f"{two[0]}-{two[1]}"), st.tuples(value, st.integers(1, high)).map(lambda two: f"{two[0]}/{two[1]}"),
        st.integers(1, high).map(lambda step: f"*/{step}"),
    )  # fmt: skip
    return st.just("*") | st.lists(item, min_size=1, max_size=3).map(",".join)


EXPRESSION = st.tuples(field(0, 59), field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7)).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(expressions=st.lists(EXPRESSION, min_size=1, max_size=3), time=st.integers(ms("2020-01-01T00:00:00"), ms("2060-01-01T00:00:00")))
@example(expressions=["* * * * * *"], time=ms("2026-12-31T23:59:59"))
def test_the_next_date_is_later_and_no_date_lies_between(expressions, time):
    """The next date is after the time, a whole second, grows with the time, and from anywhere before it the same one comes."""
    following = cron.next_after(expressions, time)
    assert following is not None and following > time and following % 1000 == 0
    middle = time + (following - time) // 2
    between = cron.next_after(expressions, middle)
    assert between == (following if middle < following else between)
    after = cron.next_after(expressions, following)
    assert after is not None and after > following
    assert following == min(cron.next_after([each], time) for each in expressions)

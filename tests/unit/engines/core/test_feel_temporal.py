"""FEEL's dates, times and durations, after DMN 1.5 chapter 10.3.2.3 and Camunda."""

import pytest

from payhub_engines.core.feel import compile_expression

NOW_MS = 1_769_850_300_250  # 2026-01-31T09:05:00.250Z

LITERALS = [
    ('@"2026-01-31"', "2026-01-31"),
    ('date("2026-01-31")', "2026-01-31"),
    ('date("2026-02-30")', None),
    ('date("2026-1-31")', None),
    ('@"nonsense"', None),
    ("date(2026, 1, 31)", "2026-01-31"),
    ("date(2026, 13, 1)", None),
    ("date(year: 2026, month: 1, day: 31)", "2026-01-31"),
    ('date(date and time("2026-01-31T10:00:00"))', "2026-01-31"),
    ('date(@"2026-01-31")', "2026-01-31"),
    ("date(null)", None),
    ('time("10:30:00")', "10:30:00"),
    ('time("10:30:00.5")', "10:30:00.5"),
    ('time("10:30:00+02:00")', "10:30:00+02:00"),
    ('time("10:30:00Z")', "10:30:00Z"),
    ('time("10:30:00@Africa/Nairobi")', "10:30:00+03:00"),
    ('time("10:30")', "10:30:00"),
    ('time("25:00:00")', None),
    ('time("10:30:00@No/Where")', None),
    ("time(10, 30, 15)", "10:30:15"),
    ('time(10, 30, 15.5, duration("PT2H"))', "10:30:15.5+02:00"),
    ("time(10, 30, 15, null)", "10:30:15"),
    ("time(24, 0, 0)", None),
    ('time(date and time("2026-01-31T10:30:00Z"))', "10:30:00Z"),
    ('time(@"2026-01-31")', "00:00:00Z"),
    ('@"2026-01-31T10:30:00"', "2026-01-31T10:30:00"),
    ('date and time("2026-01-31T10:30:00")', "2026-01-31T10:30:00"),
    ('date and time("2026-01-31T10:30:00.123456789Z")', "2026-01-31T10:30:00.123456789Z"),
    ('date and time("2026-01-31T10:30:00+03:00")', "2026-01-31T10:30:00+03:00"),
    ('date and time("2026-07-31T10:30:00@Europe/Berlin")', "2026-07-31T10:30:00+02:00"),
    ('date and time("2026-01-31T10:30:00@Europe/Berlin")', "2026-01-31T10:30:00+01:00"),
    ('date and time("2026-01-31")', "2026-01-31T00:00:00"),
    ('date and time("2026-01-31 10:30:00")', None),
    ('date and time(@"2026-01-31", @"10:30:00")', "2026-01-31T10:30:00"),
    ('date and time(@"2026-01-31", @"10:30:00+01:00")', "2026-01-31T10:30:00+01:00"),
    ('date and time(@"2026-01-31T08:00:00", @"10:30:00")', "2026-01-31T10:30:00"),
    ('date and time(@"2026-01-31T08:00:00Z", "Africa/Nairobi")', "2026-01-31T11:00:00+03:00"),
    ('date and time(@"2026-01-31T08:00:00", "Africa/Nairobi")', "2026-01-31T08:00:00+03:00"),
    ('date and time(@"2026-01-31T08:00:00+03:00", "Z")', "2026-01-31T05:00:00Z"),
    ('date and time(@"2026-01-31T08:00:00", "No/Where")', None),
    ('duration("P1DT2H3M4S")', "P1DT2H3M4S"),
    ('duration("PT26H")', "P1DT2H"),
    ('duration("PT90S")', "PT1M30S"),
    ('duration("PT0.5S")', "PT0.5S"),
    ('duration("-PT1H")', "-PT1H"),
    ('duration("PT0S")', "P0D"),
    ('duration("P1Y14M")', "P2Y2M"),
    ('duration("-P1Y")', "-P1Y"),
    ('duration("P0M")', "P0Y"),
    ('duration("P")', None),
    ('duration("PT")', None),
    ('duration("P1W")', None),
    ('duration("P1Y1D")', None),
    ('@"P1D"', "P1D"),
    ('@"P1Y"', "P1Y"),
    ('years and months duration(@"2025-12-31", @"2026-03-01")', "P2M"),
    ('years and months duration(@"2026-03-01", @"2025-12-31")', "-P2M"),
    ('years and months duration(@"2020-01-01", @"2026-03-01")', "P6Y2M"),
    ('years and months duration(@"2020-01-01T10:00:00", @"2026-03-01")', "P6Y2M"),
    ("years and months duration(1, 2)", None),
]

CALCULATIONS = [
    ('@"2026-01-31" + @"P1D"', "2026-02-01"),
    ('@"2026-01-31" - @"P1D"', "2026-01-30"),
    ('@"P1D" + @"2026-01-31"', "2026-02-01"),
    ('@"2026-01-31" + @"P1M"', "2026-02-28"),
    ('@"2024-02-29" + @"P1Y"', "2025-02-28"),
    ('@"2026-03-31" - @"P1M"', "2026-02-28"),
    ('@"2026-01-31" - @"2026-01-01"', "P30D"),
    ('@"2026-01-01" - @"2026-01-31"', "-P30D"),
    ('@"2026-01-31" + @"PT23H"', "2026-01-31"),
    ('@"2026-01-31" - @"PT1H"', "2026-01-30"),
    ('@"9999-12-31" + @"P1D"', None),
    ('@"0001-01-01" - @"P1M"', None),
    ('@"2026-01-31" + 1', None),
    ('@"2026-01-31" + @"2026-01-31"', None),
    ('@"10:30:00" + @"PT2H"', "12:30:00"),
    ('@"23:30:00" + @"PT2H"', "01:30:00"),
    ('@"00:30:00" - @"PT1H"', "23:30:00"),
    ('@"10:30:00" - @"08:00:00"', "PT2H30M"),
    ('@"08:00:00" - @"10:30:00"', "-PT2H30M"),
    ('@"10:00:00" - @"08:00:00Z"', None),
    ('@"10:00:00" + @"P1Y"', None),
    ('@"2026-01-31T10:00:00" + @"PT36H"', "2026-02-01T22:00:00"),
    ('@"2026-01-31T10:00:00" + @"P1M"', "2026-02-28T10:00:00"),
    ('@"2026-01-31T10:00:00Z" - @"P1Y"', "2025-01-31T10:00:00Z"),
    ('@"2026-01-31T10:00:00Z" - @"2026-01-31T10:00:00+01:00"', "PT1H"),
    ('@"2026-01-31T10:00:00" - @"2026-01-30T09:00:00"', "P1DT1H"),
    ('@"2026-01-31T10:00:00" - @"2026-01-30T09:00:00Z"', None),
    ('@"2026-03-28T12:00:00@Europe/Berlin" + @"P1D"', "2026-03-29T13:00:00+02:00"),
    ('@"2026-01-29T12:00:00@Europe/Berlin" + @"P6M"', "2026-07-29T12:00:00+02:00"),
    ('@"P1D" + @"PT12H"', "P1DT12H"),
    ('@"P1D" - @"PT36H"', "-PT12H"),
    ('@"P1Y" + @"P6M"', "P1Y6M"),
    ('@"P1Y" - @"P18M"', "-P6M"),
    ('@"P1Y" + @"P1D"', None),
    ('@"P1D" * 3', "P3D"),
    ('3 * @"P1D"', "P3D"),
    ('@"P1D" / 2', "PT12H"),
    ('@"P1D" / 0', None),
    ('@"P1Y" * 2', "P2Y"),
    ('@"P1Y" / 5', "P2M"),
    ('@"P1D" / @"PT6H"', 4),
    ('@"P1Y" / @"P6M"', 2),
    ('@"P1Y" / @"P1D"', None),
    ('-@"P1D"', "-P1D"),
    ('abs(@"-P1D")', "P1D"),
    ('abs(@"-P5M")', "P5M"),
    ('@"P999999999D" * 999999999', None),
]

COMPARISONS = [
    ('@"2026-01-31" < @"2026-02-01"', True),
    ('@"2026-01-31" = @"2026-01-31"', True),
    ('@"2026-01-31" = @"2026-01-31T00:00:00"', None),
    ('@"2026-01-31" < @"2026-01-31T00:00:00"', None),
    ('@"10:00:00" < @"10:00:01"', True),
    ('@"10:00:00+01:00" < @"10:00:00Z"', True),
    ('@"10:00:00" < @"10:00:00Z"', None),
    ('@"2026-01-31T10:00:00+01:00" < @"2026-01-31T09:30:00Z"', True),
    ('@"2026-01-31T10:00:00Z" = @"2026-01-31T10:00:00Z"', True),
    ('@"P1D" = @"PT24H"', True),
    ('@"P1Y" = @"P12M"', True),
    ('@"P1D" < @"PT25H"', True),
    ('@"P1Y" > @"P1D"', None),
    ('@"2026-01-31" between @"2026-01-01" and @"2026-12-31"', True),
    ('@"2026-01-31" in [@"2026-01-01"..@"2026-12-31"]', True),
    ('@"2026-01-31" instance of date', True),
    ('@"10:00:00" instance of time', True),
    ('@"2026-01-31T10:00:00" instance of date and time', True),
    ('@"P1D" instance of days and time duration', True),
    ('@"P1Y" instance of years and months duration', True),
    ('@"P1Y" instance of year-month-duration', True),
    ('@"2026-01-31" instance of date and time', False),
]

PROPERTIES = [
    ('@"2026-01-31".year', 2026),
    ('@"2026-01-31".month', 1),
    ('@"2026-01-31".day', 31),
    ('@"2026-01-31".weekday', 6),
    ('@"2026-01-31".hour', None),
    ('@"10:30:15".hour', 10),
    ('@"10:30:15".minute', 30),
    ('@"10:30:15".second', 15),
    ('@"10:30:15".time offset', None),
    ('@"10:30:15+02:00".time offset', "PT2H"),
    ('@"2026-01-31T10:30:15@Europe/Berlin".timezone', "Europe/Berlin"),
    ('@"2026-01-31T10:30:15Z".timezone', None),
    ('@"2026-01-31T10:30:15".year', 2026),
    ('@"2026-01-31T10:30:15".second', 15),
    ('@"P1DT2H3M4S".days', 1),
    ('@"P1DT2H3M4S".hours', 2),
    ('@"P1DT2H3M4S".minutes', 3),
    ('@"P1DT2H3M4S".seconds', 4),
    ('@"-P1DT2H".hours', -2),
    ('@"P1Y2M".years', 1),
    ('@"P1Y2M".months', 2),
    ('@"-P14M".months', -2),
    ('@"P1Y2M".days', None),
    ('[@"2026-01-31", @"2027-01-31"].year', [2026, 2027]),
]

BUILTINS = [
    ('day of week(@"2026-01-31")', "Saturday"),
    ('day of year(@"2026-02-01")', 32),
    ('month of year(@"2026-02-01T10:00:00")', "February"),
    ('week of year(@"2026-01-01")', 1),
    ('week of year(@"2027-01-01")', 53),
    ('last day of month(@"2024-02-01")', "2024-02-29"),
    ("day of week(1)", None),
    ('string(@"2026-01-31T10:30:00@Europe/Berlin")', "2026-01-31T10:30:00@Europe/Berlin"),
    ('string(@"10:30:00Z")', "10:30:00Z"),
    ('string(@"PT90M")', "PT1H30M"),
    ('to json({at: @"2026-01-31T10:30:00@Europe/Berlin"})', '{"at":"2026-01-31T10:30:00+01:00"}'),
    ('{at: @"P1D", all: [@"10:00:00"]}', {"at": "P1D", "all": ["10:00:00"]}),
]

ROWS = [*LITERALS, *CALCULATIONS, *COMPARISONS, *PROPERTIES, *BUILTINS]


@pytest.mark.parametrize(("text", "value"), ROWS)
def test_temporal_expression_gives(text, value):
    result = compile_expression(text)({})
    assert result == value
    assert isinstance(result, bool) == isinstance(value, bool)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("now()", "2026-01-31T09:05:00.25Z"),
        ("today()", "2026-01-31"),
        ('now() + @"PT10S"', "2026-01-31T09:05:10.25Z"),
        ('now() > @"2026-01-31T09:00:00Z"', True),
        ('date and time(now(), "Africa/Nairobi").hour', 12),
        ("now() = now()", True),
    ],
)
def test_the_time_is_what_the_caller_says(text, value):
    assert compile_expression(text)({}, now_ms=NOW_MS) == value


@pytest.mark.parametrize("text", ["now()", "today()", 'now() + @"P1D"'])
def test_without_a_time_now_is_null(text):
    assert compile_expression(text)({}) is None

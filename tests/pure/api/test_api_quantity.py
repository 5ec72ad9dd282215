"""Are quantities read exactly as Kubernetes reads them? The golden table of reliability.md 4.1, and properties."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbatch.api.quantity import (
    MAX_AMOUNT,
    QuantityError,
    amount,
    amounts,
    exact_value,
    format_amount,
    millis,
    parse,
)

BAD_FORM = [
    "",
    "1 Gi",
    " 1",
    "1\n",
    "1_000",
    "0x10",
    "1,5",
    "1GB",
    "1Gb",
    "1KI",
    "nan",
    "inf",
    "１",
    "1e3.5",
    "--1",
    "1+1",
]
BAD_SUFFIX = ["1K", "1ki", "1mi", "1i", "1e", "1ee3", "1Kib", "1gi", "4 cores", "1u0"]
TOO_BIG = ["1e1000000000", "1e4294967299", "1e65", "1e-65", "0" * 65]


@pytest.mark.parametrize("text", [*BAD_FORM, *BAD_SUFFIX])
def test_what_kubernetes_refuses_is_refused_with_the_form(text):
    with pytest.raises(QuantityError, match="expected a number with an optional suffix"):
        parse(text)


@pytest.mark.parametrize("text", TOO_BIG)
def test_huge_exponents_and_texts_are_refused_before_any_arithmetic(text):
    with pytest.raises(QuantityError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1K", "1k"),
        ("1ki", "1Ki"),
        ("1mi", "1Mi"),
        ("1GB", "1G"),
        ("1 Gi", "1Gi"),
        ("1_000", "1000"),
        ("1,5", "1.5"),
        ("4 cores", "4"),
        ("2GiB", "2Gi"),
        (" 1\n", "1"),
    ],
)
def test_the_nearest_valid_quantity_is_suggested(text, meant):
    with pytest.raises(QuantityError, match=f'did you mean "{meant}"'):
        parse(text)


@pytest.mark.parametrize("text", ["nan", "0x10", "１", "--1"])
def test_nothing_is_suggested_where_nothing_can_be_known(text):
    with pytest.raises(QuantityError) as refused:
        parse(text)
    assert "did you mean" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.", 1),
        (".5", Fraction(1, 2)),
        ("+5", 5),
        ("00012", 12),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1e-3", Fraction(1, 1000)),
        ("1E", 10**18),
        ("-1", -1),
        ("0.1m", Fraction(1, 10_000)),
        ("1n", Fraction(1, 10**9)),
        ("1Ki", 1024),
        ("1.5Gi", 3 * 2**29),
        ("8Ei", 2**63),
        ("100E", 10**20),
        ("9223372036854775808", 2**63),
        (".", 0),
        ("+", 0),
        ("-", 0),
        ("-0", 0),
        ("+.", 0),
        ("Gi", 0),
        ("e3", 0),
    ],
)
def test_what_kubernetes_accepts_has_its_exact_value(text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    ("text", "up", "down"), [("0.1m", 1, 0), ("1n", 1, 0), ("250m", 250, 250), ("1.0001", 1001, 1000), ("-0.1m", 0, -1)]
)
def test_requests_round_up_and_capacity_rounds_down(text, up, down):
    assert (millis(text, "up"), millis(text, "down")) == (up, down)


@pytest.mark.parametrize("text", ["8Ei", "9223372036854775808", "100E", "1e60"])
def test_amounts_are_capped_at_64_bits(text):
    assert amount(text) == MAX_AMOUNT
    assert amount(f"-{text}") == -MAX_AMOUNT


@pytest.mark.parametrize(
    ("number", "value"), [(0.1, 100), (1e3, 1_000_000), (1.0e21, MAX_AMOUNT), (8, 8000), (1e-7, 1)]
)
def test_a_json_number_is_its_own_text(number, value):
    assert millis(number) == value


@pytest.mark.parametrize("number", [float("nan"), float("inf"), True])
def test_numbers_that_json_should_not_have_are_refused(number):
    with pytest.raises(QuantityError):
        amount(number)


def test_an_integer_too_long_to_print_is_capped_like_any_other():
    assert amount(10**10_000) == MAX_AMOUNT


def test_cpu_counts_in_thousandths_and_everything_else_in_ones():
    read = amounts({"cpu": "1500m", "memory": "1Ki", "nvidia.com/gpu": 2})
    assert read == (("cpu", 1500), ("memory", 1024), ("nvidia.com/gpu", 2))


DECIMALS = st.decimals(min_value=0, max_value=10**15, places=6, allow_nan=False).map(lambda number: format(number, "f"))
SUFFIXES = st.sampled_from(["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])


@given(DECIMALS, SUFFIXES)
def test_rounding_is_never_off_by_a_whole_unit(number, suffix):
    exact = parse(number + suffix)
    up, down = amount(number + suffix), amount(number + suffix, rounding="down")
    if exact < MAX_AMOUNT:
        assert down <= exact <= up
        assert up - down <= 1


@given(st.integers(0, MAX_AMOUNT), st.sampled_from(["cpu", "memory", "nvidia.com/gpu", "hugepages-2Mi", "pods"]))
def test_what_is_written_is_read_back(units, resource):
    assert dict(amounts({resource: format_amount(resource, units)}))[resource] == units


@given(st.text(max_size=80))
def test_no_text_does_anything_but_parse_or_be_refused(text):
    try:
        value = parse(text)
    except QuantityError:
        return
    assert isinstance(value, Fraction)
    assert text.isascii()


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-30, max_value=1e30))
def test_a_float_has_the_value_of_its_shortest_text(number):
    assert exact_value(number) == Fraction(repr(number))

"""Numbers that a ConfigMap gives as text; a ValueError names the variable that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation


def positive_number(environment: Mapping[str, str], name: str, default: int) -> int:
    """Return the variable `name` as a whole number from 1 on."""
    text = environment.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f'{name} is "{text}"; it must be a whole number from 1 on')
    return int(text)


def money(environment: Mapping[str, str], name: str, default: str) -> Decimal:
    """Return the variable `name` as an exact decimal from 0 on."""
    text = environment.get(name, default)
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise ValueError(f'{name} is "{text}"; it must be a decimal number from 0 on')
    return amount

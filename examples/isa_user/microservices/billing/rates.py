"""What an account's usage costs, in exact decimal money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from microservices.service_kit.numbers import money

_CENT = Decimal("0.01")
_VARIABLES = {
    "storage_gb": ("BILLING_RATE_STORAGE_GB", "0.10"),
    "photos": ("BILLING_RATE_PHOTO", "0.002"),
    "shares": ("BILLING_RATE_SHARE", "0.05"),
}


@dataclass(frozen=True, slots=True)
class Rates:
    """Price per unit of each kind of usage, and the tax on the sum."""

    per_unit: Mapping[str, Decimal]
    tax_percent: Decimal
    currency: str

    def priced(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """Return lines, net, tax and total for `usage` (kind to quantity).

        A ValueError names the kind that has no rate or the quantity that is not a number >= 0.
        """
        lines = [self._line(kind, quantity) for kind, quantity in usage.items()]
        net = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
        tax = (net * self.tax_percent / 100).quantize(_CENT, ROUND_HALF_UP)
        return {
            "currency": self.currency,
            "lines": lines,
            "net": str(net.quantize(_CENT)),
            "tax": str(tax),
            "total": str((net + tax).quantize(_CENT)),
        }

    def _line(self, kind: str, quantity: Any) -> dict[str, str]:
        if kind not in self.per_unit:
            raise ValueError(f'there is no rate for "{kind}"; use {", ".join(self.per_unit)}')
        amount = (self.per_unit[kind] * _quantity(kind, quantity)).quantize(_CENT, ROUND_HALF_UP)
        return {"kind": kind, "quantity": str(quantity), "amount": str(amount)}


def read_rates(environment: Mapping[str, str]) -> Rates:
    """Return the rates of the ConfigMap `billing-config`; a ValueError names what is wrong."""
    return Rates(
        {kind: money(environment, *variable) for kind, variable in _VARIABLES.items()},
        money(environment, "BILLING_TAX_PERCENT", "20"),
        environment.get("BILLING_CURRENCY", "EUR"),
    )


def _quantity(kind: str, quantity: Any) -> Decimal:
    try:
        number = Decimal(str(quantity))
    except InvalidOperation:
        raise ValueError(f'"{kind}" is {quantity!r}, which is no number') from None
    if isinstance(quantity, bool) or not number.is_finite() or not 0 <= number <= 10**9:
        raise ValueError(f'"{kind}" is {quantity!r}; it must be a number from 0 to 1e9')
    return number

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from microservices.billing.app import create_service
from microservices.service_kit.application import Service

Call = Callable[..., Any]
INVOICES = "/api/v1/invoices"


@pytest.fixture
def billing() -> Service:
    return create_service({"BILLING_RATE_STORAGE_GB": "0.25", "BILLING_TAX_PERCENT": "19"})


def test_health_names_the_service(billing: Service, request_of: Call) -> None:
    assert request_of(billing, "GET", "/health").json()["service"] == "billing"
    assert request_of(billing, "GET", "/ready").status == 200


def test_invoice_is_computed_from_the_rates(billing: Service, request_of: Call) -> None:
    usage = {"storage_gb": 12.5, "photos": 1200, "shares": 3}
    made = request_of(billing, "POST", INVOICES, {"account": "ada", "usage": usage})
    assert made.status == 201
    invoice = made.json()["invoice"]
    assert [line["amount"] for line in invoice["lines"]] == ["3.13", "2.40", "0.15"]
    assert (invoice["net"], invoice["tax"], invoice["total"]) == ("5.68", "1.08", "6.76")
    assert request_of(billing, "GET", f"{INVOICES}/{invoice['id']}").json()["invoice"] == invoice


def test_invoices_of_one_account(billing: Service, request_of: Call) -> None:
    listed = request_of(billing, "GET", f"{INVOICES}?account=user-4").json()
    assert {one["account"] for one in listed["invoices"]} == {"user-4"}
    assert (listed["total"], listed["service"]) == (2, "billing")


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"water": 1},
        {"photos": "many"},
        {"photos": -1},
        {"photos": True},
        {"photos": "NaN"},
        {"photos": 1e40},
    ],
)
def test_usage_without_a_price_is_refused(billing: Service, request_of: Call, usage: Any) -> None:
    body = {"account": "ada", "usage": usage}
    answer = request_of(billing, "POST", INVOICES, body)
    assert answer.status == 422
    assert answer.json()["error"]


@pytest.mark.parametrize("text", ["free", "-1", "NaN", ""])
def test_bad_rate_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="BILLING_RATE_PHOTO"):
        create_service({"BILLING_RATE_PHOTO": text})


@pytest.mark.parametrize("number", [0, 999])
def test_unknown_invoice_is_not_found(billing: Service, request_of: Call, number: int) -> None:
    assert request_of(billing, "GET", f"{INVOICES}/{number}").status == 404

"""The HTTP API of the service `billing`: invoices, held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from microservices.billing.rates import Rates, read_rates
from microservices.service_kit.application import (
    Service,
    answer,
    page_number,
    read_object,
    text_field,
)

_PAGE_SIZE = 25
_SAMPLE_INVOICES = 20


class BillingApi:
    """Handlers over the invoices of this process."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._invoices: list[dict[str, Any]] = []
        for number in range(_SAMPLE_INVOICES):
            self._create(f"user-{number % 10}", {"storage_gb": number * 1.5, "photos": number * 40})

    @property
    def has_invoices(self) -> bool:
        """Say whether the samples are priced."""
        return bool(self._invoices)

    def routes(self) -> list[Route]:
        """Return the routes of version 1."""
        invoices = "/api/v1/invoices"
        return [
            Route(invoices, self.list_invoices, methods=["GET"]),
            Route(invoices, self.create_invoice, methods=["POST"]),
            Route(f"{invoices}/{{invoice_id:int}}", self.show_invoice, methods=["GET"]),
        ]

    async def list_invoices(self, request: Request) -> Response:
        """GET one page of invoices, of one `account` or of all."""
        account = request.query_params.get("account")
        invoices = [one for one in self._invoices if account in (None, one["account"])]
        first = (page_number(request) - 1) * _PAGE_SIZE
        shown = invoices[first : first + _PAGE_SIZE]
        return answer(request, {"invoices": shown, "total": len(invoices)})

    async def create_invoice(self, request: Request) -> Response:
        """POST an invoice: `account` and its `usage`, a quantity per kind."""
        body = await read_object(request)
        account, usage = text_field(body, "account"), body.get("usage")
        if not isinstance(usage, dict) or not usage:
            raise HTTPException(
                HTTPStatus.UNPROCESSABLE_ENTITY, '"usage" must hold a quantity per kind'
            )
        try:
            invoice = self._create(account, usage)
        except ValueError as wrong:
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(wrong)) from None
        return answer(request, {"invoice": invoice}, HTTPStatus.CREATED)

    async def show_invoice(self, request: Request) -> Response:
        """GET one invoice."""
        invoice_id = request.path_params["invoice_id"]
        if not 1 <= invoice_id <= len(self._invoices):
            raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no invoice {invoice_id}")
        return answer(request, {"invoice": self._invoices[invoice_id - 1]})

    def _create(self, account: str, usage: Mapping[str, Any]) -> dict[str, Any]:
        priced = self._rates.priced(usage)
        invoice = {"id": len(self._invoices) + 1, "account": account, **priced}
        self._invoices.append(invoice)
        return invoice


def create_service(environment: Mapping[str, str]) -> Service:
    """Return the service as the environment's variables configure it."""
    api = BillingApi(read_rates(environment))
    return Service("billing", api.routes(), is_ready=lambda: api.has_invoices)

"""Telling people: one thread per release."""

from __future__ import annotations

from temporalio import activity

from clients.slack import Slack
from domain.steps import Tell, Told


class Notification:
    """Posts to the team's channel; without one configured there is nobody to tell."""

    def __init__(self, slack: Slack | None) -> None:
        self._slack = slack

    @activity.defn
    async def tell(self, message: Tell) -> Told:
        """Post once: a retry looks for the message that an earlier attempt may have left."""
        if self._slack is None:
            return Told(thread=message.thread or "")
        ts = await self._slack.post(
            message.text,
            thread=message.thread or None,
            key=message.key,
            retried=activity.info().attempt > 1,
        )
        return Told(thread=message.thread or ts)

"""What can be wrong with a request about webhooks."""

from payhub_platform.errors import InvalidInputError, NotFoundError


class DeliveryNotFoundError(NotFoundError):
    """The tenant has no such delivery; whether another has it is not said."""

    def __init__(self) -> None:
        super().__init__("delivery-not-found", "There is no such delivery for this tenant.")


class WebhookEndpointNotFoundError(NotFoundError):
    """The tenant has no such endpoint, or has it no more."""

    def __init__(self) -> None:
        super().__init__("webhook-endpoint-not-found", "There is no such endpoint for this tenant.")


class InvalidWebhookQueryError(InvalidInputError):
    """A field of a question about deliveries is not understood."""

    def __init__(self, where: str, detail: str) -> None:
        super().__init__("invalid-webhook-query", detail, where)

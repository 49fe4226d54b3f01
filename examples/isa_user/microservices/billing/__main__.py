"""`python -m microservices.billing`, the entrypoint of the image."""

from microservices.billing.main import main

main()

"""`python -m microservices.user`, the entrypoint of the image."""

from microservices.user.main import main

main()

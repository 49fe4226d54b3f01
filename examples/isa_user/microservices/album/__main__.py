"""`python -m microservices.album`, the entrypoint of the image."""

from microservices.album.main import main

main()

"""A local platform that speaks the real wire protocols, for the quickstart and the tests."""

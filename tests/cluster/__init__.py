"""Real clusters under the tests: programs built from source, started here, and stopped again."""

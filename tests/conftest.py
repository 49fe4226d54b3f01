"""Every run of the tests sees which requests our clients send (`tests/contract/recording.py`)."""

pytest_plugins = ("tests.contract.recording",)

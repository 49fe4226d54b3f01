"""What measures Tidegate against its goals; never part of the tests."""

"""Holds the service under attack, faults and load, and puts the numbers into a table: `scripts/hold`."""

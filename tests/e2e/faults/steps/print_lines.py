"""Prints more than anybody wants to read."""

for number in range(100_000):
    print(f"line {number} of many")

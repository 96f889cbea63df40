import sys

print(f"counted for {sys.argv[-1]}")

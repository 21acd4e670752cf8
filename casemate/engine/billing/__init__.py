"""What it would cost on AWS: usage, a dated price table, and what the one makes of the other."""

"""Events and what is done with them, without a server: patterns, schedules, and what targets are given."""

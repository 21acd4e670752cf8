"""Execution environments: isolated processes that run functions, and Lambda's Runtime API, by which they ask what to
do."""

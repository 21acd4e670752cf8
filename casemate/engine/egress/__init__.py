"""Requests to other machines that customers choose: where they may go, and one bounded exchange by HTTP."""

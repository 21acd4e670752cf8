"""What AWS calls things: one generated module per served service.

Each has the service's TypedDicts (for type checkers only) and one ``Operation`` descriptor per operation.
``make api`` writes them; see tools/generate_api.py.
"""

"""IAM: accounts, users and access keys, and the policies attached to them. Its API is served by later work; the
server already finds every caller here."""

"""What CloudTrail makes of records: which events a trail wants, files, digests, unusual activity. Pure."""

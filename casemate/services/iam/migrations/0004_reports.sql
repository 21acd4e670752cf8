-- An account's last credential report. content: the CSV.
CREATE TABLE iam_credential_reports (
    account TEXT NOT NULL PRIMARY KEY,
    made REAL NOT NULL,
    content TEXT NOT NULL
) STRICT;

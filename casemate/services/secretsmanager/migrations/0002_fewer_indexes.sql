-- A secret has some hundred versions at most, which its primary key finds: they are sorted when they are listed.
DROP INDEX secret_versions_by_creation;

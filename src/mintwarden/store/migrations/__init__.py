"""The schema, one file per revision, the SQL of both stores in each."""

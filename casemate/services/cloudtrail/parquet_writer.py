"""A process of its own that makes a Parquet file: JSON lines come in, the file goes out, and nothing lies anywhere.

DuckDB takes tens of megabytes that it does not give back; a server that only ships need not keep them. It imports
nothing of Casemate's.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Arguments: the columns with their types, as a JSON object; rows of a row group."""
    import duckdb

    columns, rows = json.loads(sys.argv[1]), int(sys.argv[2])
    shape = ", ".join(f"{name}: '{kind}'" for name, kind in columns.items())
    connection = duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": "256MB",
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    connection.execute(
        "COPY (SELECT * FROM read_json('/dev/stdin', format = 'newline_delimited', "
        f"maximum_object_size = {8 * 1024 * 1024}, columns = {{{shape}}})) TO '/dev/stdout' "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows}, USE_TMP_FILE false)"
    )


if __name__ == "__main__":
    main()

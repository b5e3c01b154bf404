"""The effect of a message and the mark that it was handled, in one transaction: after a crash either both are there or
neither. This is what makes a repeat harmless, also long after the topic has forgotten the id."""

import sqlite3
from datetime import datetime, timezone

from prediction import Prediction

SCHEMA = """
CREATE TABLE IF NOT EXISTS handled (message_id TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS predictions (
  message_id TEXT NOT NULL, correlation_id TEXT, tenant TEXT, model TEXT, state TEXT,
  request_sequence INTEGER, leaf_hash TEXT, body TEXT
);
"""


class Store:
    def __init__(self, file: str) -> None:
        # Transactions are begun and ended here, not by the module; of several threads one writes at a time.
        self._database = sqlite3.connect(file, timeout=5, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(SCHEMA)

    def handle_once(self, prediction: Prediction) -> bool:
        """False when the message had been handled before, and nothing was done."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            now = datetime.now(timezone.utc).isoformat()
            mark = "INSERT INTO handled VALUES (?, ?) ON CONFLICT DO NOTHING"
            first = self._database.execute(mark, (prediction.message_id, now)).rowcount == 1
            if first:
                row = (
                    prediction.message_id,
                    prediction.correlation_id,
                    prediction.tenant,
                    prediction.model,
                    prediction.state,
                    prediction.request_sequence,
                    prediction.leaf_hash,
                    prediction.body,
                )
                self._database.execute("INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            self._database.execute("COMMIT")
            return first
        except BaseException:
            self._database.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._database.close()

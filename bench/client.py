"""A client that costs little: libpq itself, prepared statements, binary parameters and results.

A driver's conversions take longer than some of the queries that are measured here. Rows are inserted one a
statement, as applications do; but a client that waits for every answer would measure mostly the way there and
back. So many executions are on their way at once: the server always has the next statement waiting.
"""

import itertools
from collections.abc import Sequence

import numpy
import psycopg
from psycopg import pq

# Statements that are sent before the answers to those before them are read; a good batch, too.
WINDOW = 128

Parameters = Sequence[bytes]


def integers(values: numpy.ndarray) -> list[bytes]:
    """Parameters of type bigint."""
    data = values.astype(">i8").tobytes()
    return [data[at : at + 8] for at in range(0, len(data), 8)]


def vectors(values: numpy.ndarray) -> list[bytes]:
    """Parameters of type vector."""
    rows, dims = values.shape
    layout = numpy.dtype([("dims", ">i2"), ("unused", ">i2"), ("floats", ">f4", (dims,))])
    parts = numpy.zeros(rows, layout)
    parts["dims"] = dims
    parts["floats"] = values
    data, size = parts.tobytes(), layout.itemsize
    return [data[at : at + size] for at in range(0, len(data), size)]


def items(values: numpy.ndarray, first_id: int = 1) -> list[Parameters]:
    """The parameters of rows (id, vector) with consecutive ids."""
    ids = numpy.arange(first_id, first_id + len(values))
    return list(zip(integers(ids), vectors(values), strict=True))


def explain(connection: psycopg.Connection, text: str, parameters: Parameters) -> str:
    """The result of an EXPLAIN, whose parameters are binary: in plain text."""
    result = connection.pgconn.exec_params(text.encode(), parameters, None, _binary(parameters))
    _check(result)
    return "\n".join(result.get_value(row, 0).decode() for row in range(result.ntuples))


class Statement:
    """A prepared statement."""

    _numbers = itertools.count()

    def __init__(self, connection: psycopg.Connection, text: str):
        self._pgconn = connection.pgconn
        self._name = f"statement{next(self._numbers)}".encode()
        _check(self._pgconn.prepare(self._name, text.encode()))

    def integers(self, parameters: Parameters) -> list[int]:
        """Executes the statement; returns the only column of the result, of type bigint."""
        result = self._pgconn.exec_prepared(self._name, parameters, _binary(parameters), pq.Format.BINARY)
        _check(result)
        return [int.from_bytes(result.get_value(row, 0), "big") for row in range(result.ntuples)]

    def execute_many(self, rows: list[Parameters], batch: int) -> None:
        """Executes the statement with every row; results are only counted.

        `batch` rows are a transaction, unless one is open.
        """
        self._pgconn.enter_pipeline_mode()
        unread = sent = 0
        for first in range(0, len(rows), batch):
            for row in rows[first : first + batch]:
                self._pgconn.send_query_prepared(self._name, row, _binary(row))
            self._pgconn.pipeline_sync()
            sent += 1
            if sent * batch >= WINDOW:
                # The answers to this window are read when the server has the next one.
                self._read(unread)
                unread, sent = sent, 0
        self._read(unread + sent)
        self._pgconn.exit_pipeline_mode()

    def _read(self, syncs: int) -> None:
        """Reads the answers up to and with the given number of synchronisation points."""
        while syncs:
            result = self._pgconn.get_result()
            if result is None:
                continue  # the end of one statement's answers
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                syncs -= 1
            else:
                _check(result)


def _binary(parameters: Parameters) -> list[pq.Format]:
    return [pq.Format.BINARY] * len(parameters)


def _check(result: pq.PGresult) -> None:
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        raise psycopg.DatabaseError(result.get_error_message())

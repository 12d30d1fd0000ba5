"""The harness itself: a crash is one, a standby follows, and neither loses committed rows."""

from collections.abc import Callable

from pgcluster import Cluster


def count(cluster: Cluster) -> int:
    with cluster.connect() as connection:
        return connection.execute("SELECT count(*) FROM numbers").fetchone()[0]


def test_crash_and_standby(make_cluster: Callable[..., Cluster]) -> None:
    primary = make_cluster("primary")
    with primary.connect() as connection:
        connection.execute("CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS number")
    standby = primary.standby("standby")
    standby.start()

    primary.crash()
    assert not primary.running
    primary.start()
    assert "database system was not properly shut down" in primary.log.read_text()
    assert count(primary) == 1000

    with primary.connect() as connection:
        connection.execute("INSERT INTO numbers VALUES (1001)")
    primary.wait_for_replay(standby)
    assert count(standby) == 1001

    primary.crash()
    standby.promote()
    with standby.connect() as connection:
        connection.execute("INSERT INTO numbers VALUES (1002)")
    assert count(standby) == 1002

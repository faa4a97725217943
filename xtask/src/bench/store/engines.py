"""Fills a database with observations and asks it what the store is asked; figures as JSON lines."""
import json, subprocess, sys, time

engine, csv, path = sys.argv[1:4]
COLUMNS = [
    ("seq", "BIGINT"), ("ts", "BIGINT"), ("kind", "TEXT"), ("ctr_id", "TEXT"), ("ctr", "TEXT"),
    ("image", "TEXT"), ("pid", "BIGINT"), ("start_ns", "BIGINT"), ("ppid", "BIGINT"), ("exe", "TEXT"),
    ("args", "TEXT"), ("uid", "TEXT"), ("path", "TEXT"), ("op", "TEXT"), ("raddr", "TEXT"),
    ("rport", "TEXT"), ("dns", "TEXT"),
]
CREATE = "CREATE TABLE e (" + ", ".join(" ".join(it) for it in COLUMNS) + ")"
START, DAY = 1_750_000_000_000_000_000, 86_400_000_000_000
HOUR = DAY // 24


def tell(**figures):
    print(json.dumps(figures), flush=True)


def timed(act):
    start = time.perf_counter()
    result = act()
    return int((time.perf_counter() - start) * 1e6), result


def fill_sqlite():
    # One transaction, the index behind it: as fast as SQLite can.
    script = f"""PRAGMA journal_mode=WAL;
{CREATE};
.mode csv
.import {csv} e
CREATE INDEX by_container ON e (ctr, ts);
"""
    subprocess.run(["sqlite3", path], input=script.encode(), check=True, stdout=subprocess.DEVNULL)
    import sqlite3
    db = sqlite3.connect(path)
    return lambda sql: db.execute(sql).fetchall()


def fill_duckdb():
    import duckdb
    db = duckdb.connect(path)
    db.execute("SET threads = 1")
    db.execute(CREATE)
    db.execute(f"COPY e FROM '{csv}' (HEADER false)")
    db.execute("CHECKPOINT")
    return lambda sql: db.execute(sql).fetchall()


us, ask = timed(fill_sqlite if engine == "sqlite" else fill_duckdb)
tell(us=us)
rows = ask("SELECT count(*) FROM e")[0][0]
container, pid, at = ask(f"SELECT ctr, pid, ts FROM e WHERE seq = {rows // 3}")[0]
QUESTIONS = {
    "container and hour": f"SELECT * FROM e WHERE ctr = '{container}' AND ts BETWEEN "
    f"{START + 14 * HOUR} AND {START + 15 * HOUR}",
    "path contains": "SELECT * FROM e WHERE path LIKE '%ledger-needle%'",
    "destination network": "SELECT * FROM e WHERE raddr LIKE '203.0.113.%'",
    "lineage of a process": f"SELECT * FROM e WHERE ctr = '{container}' AND ts BETWEEN "
    f"{at - HOUR // 2} AND {at + HOUR // 2} AND (pid = {pid} OR ppid = {pid})",
    "count by kind and container": "SELECT kind, ctr, count(*) FROM e GROUP BY kind, ctr",
}
for name, sql in QUESTIONS.items():
    timed(lambda: ask(sql))
    us, found = timed(lambda: ask(sql))
    tell(query=name, us=us, hits=len(found))
us, found = timed(lambda: ask("SELECT count(*) FROM e WHERE ts > 0")[0][0])
tell(query="full scan", us=us, hits=found)

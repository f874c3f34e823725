"""A guestbook: the small web application of the quickstart.

Python's standard library and a database, SQLite or PostgreSQL by DATABASE_URL.
It makes no table itself: its schema is what the folder migrations/ says.
"""

import html
import os
import signal
import sqlite3
import threading
import uuid
from contextlib import closing
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

VERSION = 1
DATABASE_URL = os.environ["DATABASE_URL"]


def query(sql, *values):
    """Runs one statement (its places marked %s) and returns its rows."""
    if DATABASE_URL.startswith("sqlite:"):
        connection = sqlite3.connect(unquote(urlsplit(DATABASE_URL).path), timeout=5)
        sql = sql.replace("%s", "?")
    else:
        import psycopg2  # only where the database is PostgreSQL

        connection = psycopg2.connect(DATABASE_URL, connect_timeout=5)
    with closing(connection), closing(connection.cursor()) as cursor:
        cursor.execute(sql, values)
        rows = cursor.fetchall() if cursor.description else []
        connection.commit()
        return rows


def add_note(form):
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    query(
        "INSERT INTO notes (id, body, created_at) VALUES (%s, %s, %s)",
        str(uuid.uuid4()),
        form["body"],
        now,
    )


def list_notes():
    notes = query("SELECT body, created_at FROM notes ORDER BY created_at DESC, id LIMIT 50")
    return [f"{html.escape(body)} <small>{at}</small>" for body, at in notes]


FIELDS = '<input name="body" placeholder="A note" required>'


def page():
    applied = query("SELECT id FROM stagecraft_migrations ORDER BY id")
    notes = "".join(f"<li>{note}</li>" for note in list_notes())
    schema = ", ".join(html.escape(migration) for (migration,) in applied)
    return f"""<!doctype html>
<meta charset="utf-8"><title>Guestbook, version {VERSION}</title>
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 2rem auto }} small {{ color: #666 }}</style>
<h1>Guestbook <small>version {VERSION}</small></h1>
<form method="post" action="/notes">{FIELDS} <button>Leave it</button></form>
<ul>{notes or "<li>Nothing here yet.</li>"}</ul>
<p><small>The code is version {VERSION}. The database has had the migrations {schema}.
A rollback brings back the code, never the database: migrations here only add,
so that older code works on the newer schema.</small></p>
"""


class Handler(BaseHTTPRequestHandler):
    timeout = 5  # an idle connection must not hold up the end

    def do_GET(self):
        match self.path:
            case "/":
                self.answer(200, page(), "text/html")
            case "/version":
                self.answer(200, f"{VERSION}\n")
            case "/up":  # healthy means: the database answers, and has our table
                self.answer(200, f"notes: {len(list_notes())}\n")
            case _:
                self.answer(404, "not found\n")

    def do_POST(self):
        size = min(int(self.headers.get("Content-Length") or 0), 10_000)
        fields = parse_qs(self.rfile.read(size).decode(errors="replace"))
        form = {name: values[0][:500] for name, values in fields.items()}
        if self.path != "/notes" or not form.get("body"):
            return self.answer(400, "a note needs a text\n")
        add_note(form)
        self.answer(303, "", location="/")

    def answer(self, status, text, kind="text/plain", location=None):
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(text.encode())

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (sqlite3.Error, *postgres_errors()) as error:
            self.log_error("%s", error)
            self.answer(503, f"the database: {error}\n")


def postgres_errors():
    try:
        import psycopg2

        return (psycopg2.Error,)
    except ImportError:
        return ()


class Server(ThreadingHTTPServer):
    daemon_threads = False  # requests in flight are answered before the end


def main():
    server = Server(("", int(os.environ.get("PORT", "8000"))), Handler)
    # In a thread: it waits for the loop that the signal interrupts.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"version {VERSION} listens on port {server.server_port}", flush=True)
    with server:
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()

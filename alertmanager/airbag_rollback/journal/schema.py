"""The tables of the first schema that was released. It is never changed: what comes later is in `migrations`.

Written in SQLite's words; PostgreSQL has other words for the types, and triggers of its own.
"""

from __future__ import annotations

FIRST = 2

TABLES = (
    """CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)""",
    """CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT, received_at REAL NOT NULL, body BLOB NOT NULL, admitted_at REAL,
        results TEXT
    )""",
    """CREATE INDEX deliveries_pending ON deliveries (id) WHERE admitted_at IS NULL""",
    """CREATE TABLE actions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, serving TEXT NOT NULL, model_name TEXT NOT NULL,
        state TEXT NOT NULL, rev INTEGER NOT NULL, cleared_at REAL, document BLOB NOT NULL
    )""",
    """CREATE UNIQUE INDEX one_action_per_key ON actions (key)
        WHERE state NOT IN ('FAILED', 'SUPPRESSED') AND cleared_at IS NULL""",
    """CREATE UNIQUE INDEX one_effect_per_model ON actions (serving, model_name)
        WHERE state IN (
            'ARMED', 'EXECUTING', 'INEFFECTIVE', 'LEASED', 'UNKNOWN', 'VERIFY_MECHANISM', 'VERIFY_OUTCOME'
        )""",
    """CREATE INDEX actions_of_key ON actions (key, id)""",
    """CREATE INDEX actions_of_model ON actions (serving, model_name, id)""",
    """CREATE TABLE effects (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, serving TEXT NOT NULL, model_name TEXT NOT NULL,
        action_id INTEGER NOT NULL REFERENCES actions (id), target INTEGER, fence INTEGER NOT NULL
    )""",
    """CREATE UNIQUE INDEX one_effect_per_attempt ON effects (action_id, coalesce(target, -1))""",
    """CREATE INDEX effects_of_model ON effects (serving, model_name, at)""",
    """CREATE TABLE audit (
        seq INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, action_id INTEGER, record TEXT NOT NULL,
        mac TEXT NOT NULL
    )""",
    """CREATE INDEX audit_of_action ON audit (action_id) WHERE action_id IS NOT NULL""",
    """CREATE TABLE audit_anchor (
        id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, mac TEXT NOT NULL
    )""",
    """CREATE TABLE leases (
        name TEXT PRIMARY KEY, fence INTEGER NOT NULL, holder TEXT NOT NULL, boot TEXT NOT NULL, expires REAL NOT NULL,
        locked INTEGER NOT NULL
    )""",
    """CREATE TABLE pauses (
        id INTEGER PRIMARY KEY AUTOINCREMENT, serving TEXT NOT NULL, model_name TEXT NOT NULL, since REAL NOT NULL,
        until REAL, by TEXT NOT NULL, reason TEXT NOT NULL, ended_at REAL, ended_by TEXT
    )""",
    """CREATE UNIQUE INDEX one_pause ON pauses (serving, model_name) WHERE ended_at IS NULL""",
    """CREATE TABLE quarantine (
        serving TEXT NOT NULL, model_name TEXT NOT NULL, version INTEGER NOT NULL, since REAL NOT NULL,
        by TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (serving, model_name, version)
    )""",
    """CREATE TABLE models (
        serving TEXT NOT NULL, model_name TEXT NOT NULL, epoch INTEGER NOT NULL, serves TEXT NOT NULL, wanted TEXT,
        seen_at REAL NOT NULL, PRIMARY KEY (serving, model_name)
    )""",
    """CREATE TABLE ledger (
        id INTEGER PRIMARY KEY AUTOINCREMENT, serving TEXT NOT NULL, model_name TEXT NOT NULL, epoch INTEGER NOT NULL,
        version INTEGER NOT NULL, since REAL NOT NULL, until REAL, rolled_back INTEGER NOT NULL DEFAULT 0,
        requests REAL, bad_at REAL, good_at REAL, checksum TEXT NOT NULL DEFAULT ''
    )""",
    """CREATE INDEX ledger_of_model ON ledger (serving, model_name, version)""",
    """CREATE TABLE wants (
        serving TEXT NOT NULL, model_name TEXT NOT NULL, version INTEGER NOT NULL, since REAL NOT NULL,
        PRIMARY KEY (serving, model_name, version)
    )""",
    """CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT, action_id INTEGER NOT NULL REFERENCES actions (id), at REAL NOT NULL,
        alert TEXT NOT NULL, delivered_at REAL
    )""",
    """CREATE INDEX outbox_of_action ON outbox (action_id)""",
    """CREATE INDEX outbox_pending ON outbox (id) WHERE delivered_at IS NULL""",
)

TRIGGERS = (
    """CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
    """CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
        WHEN NEW.seq <= (SELECT coalesce(max(seq), 0) FROM audit)
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
    """CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
        WHEN OLD.seq > (SELECT coalesce(max(seq), 0) FROM audit_anchor)
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
)
"""Of SQLite. Records of the audit are only ever added at its end; only its beginning goes, behind the anchor."""

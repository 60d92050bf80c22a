/// Keys, files and models of clients; accounts, workers and what they contributed. The order
/// is that of `Migrations.migrator`.
extension Migrations {
  static let clients = """
    CREATE TABLE api_key (
      id TEXT PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, weight REAL NOT NULL,
      virtual_time REAL NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, revoked_at INTEGER
    ) STRICT;
    CREATE TABLE file (
      number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
      key_id TEXT NOT NULL REFERENCES api_key, purpose TEXT NOT NULL, filename TEXT NOT NULL,
      bytes INTEGER NOT NULL, blob TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER
    ) STRICT;
    CREATE INDEX file_of_key ON file (key_id, number);
    CREATE INDEX file_expiry ON file (expires_at) WHERE expires_at IS NOT NULL;
    CREATE TABLE manifest (
      digest TEXT PRIMARY KEY, vocabulary TEXT NOT NULL, body_flops REAL NOT NULL,
      head_flops REAL NOT NULL, attention_flops REAL NOT NULL, weight_bytes INTEGER NOT NULL,
      cache_bytes INTEGER NOT NULL, disk_bytes INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE model (
      id TEXT PRIMARY KEY, manifest TEXT NOT NULL REFERENCES manifest, record TEXT NOT NULL,
      created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE model_blob (
      blob TEXT NOT NULL, manifest TEXT NOT NULL REFERENCES manifest, PRIMARY KEY (blob, manifest)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE setting (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;
    """

  static let fleet = """
    CREATE TABLE account (
      id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL,
      accepted INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,
      tokens INTEGER NOT NULL DEFAULT 0, credit INTEGER NOT NULL DEFAULT 0,
      average REAL NOT NULL DEFAULT 0, average_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE invitation (
      id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL UNIQUE,
      account TEXT NOT NULL REFERENCES account, uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
      expires_at INTEGER NOT NULL, trusted INTEGER NOT NULL, created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE worker (
      id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES account, name TEXT NOT NULL,
      trusted INTEGER NOT NULL, invitation TEXT NOT NULL, public_key TEXT NOT NULL,
      created_at INTEGER NOT NULL, last_seen INTEGER, suspended_until INTEGER,
      backoff_until INTEGER, failures INTEGER NOT NULL DEFAULT 0,
      consecutive_valid INTEGER NOT NULL DEFAULT 0, speed REAL,
      accepted INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,
      tokens INTEGER NOT NULL DEFAULT 0, credit INTEGER NOT NULL DEFAULT 0,
      average REAL NOT NULL DEFAULT 0, average_at INTEGER NOT NULL,
      UNIQUE (invitation, public_key)
    ) STRICT;
    CREATE INDEX worker_seen ON worker (last_seen);
    CREATE TABLE certificate (
      fingerprint TEXT PRIMARY KEY, worker TEXT NOT NULL REFERENCES worker,
      not_after INTEGER NOT NULL, der BLOB NOT NULL, revoked INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX certificate_of_worker ON certificate (worker);
    """

  /// An account is named in public only when its owner agreed (`named`). Its `cross_project_id` is
  /// BOINC's: with the e-mail address it makes the identifier that joins one person's statistics of
  /// many projects. A `number` is what BOINC's statistics call a person or machine by.
  /// `contribution` has a row for each worker and day of UTC, filled from the receipts of before.
  static let history = """
    CREATE TABLE team (
      id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, founder TEXT NOT NULL,
      created_at INTEGER NOT NULL
    ) STRICT;
    ALTER TABLE account ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE account ADD COLUMN named INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE account ADD COLUMN team INTEGER REFERENCES team;
    ALTER TABLE account ADD COLUMN country TEXT;
    ALTER TABLE account ADD COLUMN url TEXT;
    ALTER TABLE account ADD COLUMN email TEXT;
    ALTER TABLE account ADD COLUMN cross_project_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE account ADD COLUMN streak INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE account ADD COLUMN longest_streak INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE account ADD COLUMN streak_day INTEGER;
    ALTER TABLE account ADD COLUMN deleted_at INTEGER;
    UPDATE account SET number = rowid, cross_project_id = lower(hex(randomblob(16)));
    ALTER TABLE worker ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN deleted_at INTEGER;
    UPDATE worker SET number = rowid;
    CREATE UNIQUE INDEX account_number ON account (number);
    CREATE UNIQUE INDEX worker_number ON worker (number);
    CREATE INDEX account_of_team ON account (team) WHERE team IS NOT NULL;
    CREATE TABLE contribution (
      worker TEXT NOT NULL REFERENCES worker, day INTEGER NOT NULL,
      accepted INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,
      tokens INTEGER NOT NULL DEFAULT 0, credit INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (worker, day)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX contribution_day ON contribution (day);
    INSERT INTO contribution (worker, day, accepted, rejected, tokens, credit)
      SELECT body ->> 'worker', (body ->> '$.time.milliseconds') / 86400000,
        sum(body ->> 'verdict' = 'accepted'), sum(body ->> 'verdict' = 'rejected'),
        sum(CASE WHEN body ->> 'verdict' = 'accepted' THEN
          (SELECT coalesce(sum(value ->> 'tokens'), 0) FROM json_each(replica.summaries))
          ELSE 0 END),
        sum(body ->> 'microcredit')
      FROM receipt JOIN replica ON replica.number = receipt.replica
      WHERE body ->> 'worker' IS NOT NULL GROUP BY 1, 2;
    """

  static let administration = """
    ALTER TABLE account ADD COLUMN banned_at INTEGER;
    ALTER TABLE account ADD COLUMN ban_reason TEXT;
    ALTER TABLE worker ADD COLUMN banned_at INTEGER;
    ALTER TABLE worker ADD COLUMN ban_reason TEXT;
    ALTER TABLE api_key ADD COLUMN quota TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE batch ADD COLUMN lines INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX batch_of_day ON batch (key_id, created_at);
    CREATE INDEX batch_unended ON batch (key_id)
      WHERE state NOT IN ('completed', 'failed', 'expired', 'cancelled');
    """

  /// Thousandths of a joule that workers claim, and the part that they estimated. A replica has
  /// them from its submission, the totals when its result is accepted.
  static let energy = """
    ALTER TABLE replica ADD COLUMN energy INTEGER;
    ALTER TABLE replica ADD COLUMN estimated_energy INTEGER;
    ALTER TABLE account ADD COLUMN energy INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE account ADD COLUMN estimated_energy INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN energy INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN estimated_energy INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contribution ADD COLUMN energy INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contribution ADD COLUMN estimated_energy INTEGER NOT NULL DEFAULT 0;
    """

  /// Names of a model outlive its record, since units of a model that was replaced or removed go
  /// on. Keys have numbers so that the newest are known among those of one millisecond.
  static let volunteers = """
    CREATE TABLE account_key (
      number INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT NOT NULL UNIQUE,
      account TEXT NOT NULL REFERENCES account, created_at INTEGER NOT NULL, revoked_at INTEGER
    ) STRICT;
    CREATE INDEX account_key_of_account ON account_key (account, number);
    CREATE INDEX worker_of_account ON worker (account);
    CREATE TABLE model_name (
      manifest TEXT NOT NULL REFERENCES manifest, name TEXT NOT NULL, PRIMARY KEY (manifest, name)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO model_name SELECT manifest, id FROM model;
    ALTER TABLE manifest ADD COLUMN licence TEXT;
    ALTER TABLE worker ADD COLUMN machine TEXT;
    """

  /// `likeness` is `NameLikeness.key` of the name; '' for a deleted account. Names of before there
  /// was a rule may share one.
  static let names = """
    ALTER TABLE account ADD COLUMN likeness TEXT NOT NULL DEFAULT '';
    ALTER TABLE account ADD COLUMN team_changed_at INTEGER;
    ALTER TABLE team ADD COLUMN likeness TEXT NOT NULL DEFAULT '';
    CREATE INDEX account_likeness ON account (likeness);
    CREATE INDEX team_likeness ON team (likeness);
    DELETE FROM team WHERE id NOT IN (SELECT team FROM account WHERE team IS NOT NULL);
    """

  /// When a worker's membership was ended, for which certificates alone stood before: a worker may
  /// have none. Whether a certificate was given with another name. When a lease last got further.
  static let memberships = """
    ALTER TABLE worker ADD COLUMN revoked_at INTEGER;
    UPDATE worker SET revoked_at = coalesce(deleted_at, last_seen, created_at)
      WHERE deleted_at IS NOT NULL OR id IN (SELECT worker FROM certificate WHERE revoked = 1);
    ALTER TABLE certificate ADD COLUMN renames INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE replica ADD COLUMN progress_at INTEGER;
    """
}

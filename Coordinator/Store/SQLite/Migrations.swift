import CoordinatorCore
import GRDB

/// The tables. A migration that was released is never changed; a new one is added.
///
/// Times are milliseconds since 1970, digests 64 hexadecimal digits, credit millionths. What a
/// worker's lease has to find in a large batch has a partial index over just the rows that matter
/// now.
package enum Migrations {
  /// All of them, in order.
  package static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1: keys, files, models") { try $0.execute(sql: clients) }
    migrator.registerMigration("2: accounts, workers") { try $0.execute(sql: fleet) }
    migrator.registerMigration("3: batches, requests, units, replicas, receipts") {
      try $0.execute(sql: batches + work)
    }
    migrator.registerMigration("4: teams, history by day") { db in
      try db.execute(sql: history)
      try fillStreaks(db)
    }
    migrator.registerMigration("5: administration") { try $0.execute(sql: administration) }
    migrator.registerMigration("6: storage") { try $0.execute(sql: storage) }
    migrator.registerMigration("7: energy") { try $0.execute(sql: energy) }
    migrator.registerMigration("8: account keys, choices, machines") {
      try $0.execute(sql: volunteers)
    }
    migrator.registerMigration("9: provenance") {
      try $0.execute(sql: "ALTER TABLE manifest ADD COLUMN provenance BLOB")
    }
    migrator.registerMigration("10: fine-tuning") { try $0.execute(sql: queues + fineTuning) }
    migrator.registerMigration("11: names") { db in
      try db.execute(sql: names)
      for table in ["account", "team"] { try fillLikeness(table, db) }
    }
    migrator.registerMigration("12: leases") { try $0.execute(sql: leases) }
    migrator.registerMigration("13: runs of workers") {
      try $0.execute(sql: "ALTER TABLE worker ADD COLUMN runs TEXT")
    }
    migrator.registerMigration("14: wanted accounts, audits, suspended accounts") {
      try $0.execute(sql: verdicts)
    }
    migrator.registerMigration("15: reserved tokens") {
      try $0.execute(
        sql: "ALTER TABLE batch ADD COLUMN reserved_tokens INTEGER NOT NULL DEFAULT 0")
    }
    migrator.registerMigration("16: revoked workers, renames, progress") {
      try $0.execute(sql: memberships)
    }
    migrator.registerMigration("17: bytes and tokens of fine-tuning") {
      try $0.execute(sql: tuningUsage)
    }
    return migrator
  }

  private static func fillLikeness(_ table: String, _ db: Database) throws {
    for row in try db.all("SELECT rowid AS place, name FROM \(table)") {
      try db.run(
        "UPDATE \(table) SET likeness = ? WHERE rowid = ?",
        [
          NameLikeness.key(of: try row.value("name")), try row.value("place", as: Int64.self),
        ])
    }
  }

  /// Streaks as they would stand had they been counted from the first receipt on.
  private static func fillStreaks(_ db: Database) throws {
    var streaks: [String: Streak] = [:]
    let days = try Row.fetchCursor(
      db,
      sql: """
        SELECT DISTINCT worker.account, day FROM contribution
        JOIN worker ON worker.id = contribution.worker WHERE contribution.accepted > 0 ORDER BY day
        """)
    while let row = try days.next() {
      streaks[try row.value("account"), default: Streak()].add(Day(number: try row.value("day")))
    }
    for (account, streak) in streaks {
      try streak.store(for: account, db)
    }
  }

  private static let clients = """
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

  private static let fleet = """
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

  private static let batches = """
    CREATE TABLE batch (
      number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
      key_id TEXT NOT NULL REFERENCES api_key, input_file TEXT NOT NULL, input_blob TEXT NOT NULL,
      endpoint TEXT NOT NULL, completion_window TEXT NOT NULL, fingerprint TEXT NOT NULL,
      metadata TEXT, pool TEXT NOT NULL, priority INTEGER NOT NULL, output_expires_after INTEGER,
      state TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
      in_progress_at INTEGER, finalizing_at INTEGER, completed_at INTEGER, failed_at INTEGER,
      expired_at INTEGER, cancelling_at INTEGER, cancelled_at INTEGER,
      errors TEXT NOT NULL DEFAULT '[]', output_file TEXT, error_file TEXT, model TEXT,
      total INTEGER NOT NULL DEFAULT 0, completed INTEGER NOT NULL DEFAULT 0,
      failed INTEGER NOT NULL DEFAULT 0, input_tokens INTEGER NOT NULL DEFAULT 0,
      output_tokens INTEGER NOT NULL DEFAULT 0, flops_done REAL NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX batch_of_key ON batch (key_id, number);
    CREATE INDEX batch_retry ON batch (fingerprint, created_at);
    CREATE INDEX batch_open ON batch (state, number)
      WHERE state IN ('validating', 'finalizing_completed', 'finalizing_expired', 'cancelling');
    CREATE INDEX batch_due ON batch (expires_at) WHERE state IN ('validating', 'in_progress');
    CREATE TABLE queue (
      number INTEGER PRIMARY KEY, batch INTEGER NOT NULL REFERENCES batch,
      key_id TEXT NOT NULL REFERENCES api_key, pool TEXT NOT NULL,
      manifest TEXT NOT NULL REFERENCES manifest, cache TEXT NOT NULL, priority INTEGER NOT NULL,
      virtual_time REAL NOT NULL DEFAULT 0, released INTEGER NOT NULL DEFAULT 0,
      waiting INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),
      missing INTEGER NOT NULL DEFAULT 0 CHECK (missing >= 0),
      learned_tokens INTEGER NOT NULL DEFAULT 0, learned_sequences INTEGER NOT NULL DEFAULT 0,
      UNIQUE (batch, manifest, cache)
    ) STRICT;
    CREATE INDEX queue_active ON queue (number) WHERE released = 1 AND (waiting > 0 OR missing > 0);
    CREATE TABLE request (
      number INTEGER PRIMARY KEY, batch INTEGER NOT NULL REFERENCES batch, line INTEGER NOT NULL,
      id TEXT NOT NULL, custom_id TEXT NOT NULL, rendering BLOB NOT NULL, state TEXT NOT NULL,
      queue INTEGER REFERENCES queue, unit INTEGER REFERENCES unit, first_sequence INTEGER,
      sequences INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, max_tokens INTEGER NOT NULL,
      failure TEXT, ended_at INTEGER, UNIQUE (batch, line)
    ) STRICT;
    CREATE INDEX request_waiting ON request (queue, line) WHERE state = 'waiting';
    CREATE INDEX request_of_unit ON request (unit) WHERE unit IS NOT NULL;
    CREATE TABLE request_input (
      request INTEGER PRIMARY KEY REFERENCES request, sequences BLOB NOT NULL
    ) STRICT;
    """

  private static let work = """
    CREATE TABLE unit (
      number INTEGER PRIMARY KEY, digest TEXT NOT NULL, specification TEXT NOT NULL,
      inputs TEXT NOT NULL, queue INTEGER NOT NULL REFERENCES queue, pool TEXT NOT NULL,
      state TEXT NOT NULL, reason TEXT, missing INTEGER NOT NULL,
      sole_account TEXT NOT NULL DEFAULT '', memory_bytes INTEGER NOT NULL,
      prompt_tokens TEXT NOT NULL, estimated_flops REAL NOT NULL, flops REAL,
      failed_replays INTEGER NOT NULL DEFAULT 0, replay TEXT UNIQUE, replay_deadline INTEGER,
      result TEXT, verification TEXT, replicas INTEGER, created_at INTEGER NOT NULL,
      ended_at INTEGER
    ) STRICT;
    CREATE INDEX unit_missing ON unit (queue, sole_account, estimated_flops) WHERE missing > 0;
    CREATE INDEX unit_of_queue ON unit (queue, state);
    CREATE INDEX unit_replay ON unit (number) WHERE state = 'awaiting_replay';
    CREATE INDEX unit_inputs ON unit (inputs);
    CREATE TABLE replica (
      number INTEGER PRIMARY KEY, lease TEXT NOT NULL UNIQUE,
      unit INTEGER NOT NULL REFERENCES unit, worker TEXT NOT NULL REFERENCES worker,
      account TEXT NOT NULL REFERENCES account, state TEXT NOT NULL, reason TEXT, detail TEXT,
      issued_at INTEGER NOT NULL, deadline INTEGER NOT NULL, last_deadline INTEGER NOT NULL,
      flops_done REAL NOT NULL DEFAULT 0, result TEXT, summaries TEXT, signature BLOB,
      seconds REAL, submitted_at INTEGER, credit INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX replica_of_unit ON replica (unit);
    CREATE INDEX replica_due ON replica (deadline) WHERE state = 'running';
    CREATE INDEX replica_of_worker ON replica (worker, state);
    CREATE TABLE receipt (
      sequence INTEGER PRIMARY KEY, previous TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL,
      replica INTEGER NOT NULL UNIQUE REFERENCES replica
    ) STRICT;
    """

  /// An account is named in public only when its owner agreed (`named`). Its `cross_project_id` is
  /// BOINC's: with the e-mail address it makes the identifier that joins one person's statistics of
  /// many projects. A `number` is what BOINC's statistics call a person or machine by.
  /// `contribution` has a row for each worker and day of UTC, filled from the
  /// receipts of before.
  private static let history = """
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

  private static let administration = """
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

  /// Tokenizers are also named by the renderings of requests whose model was replaced since.
  private static let storage = """
    CREATE TABLE tokenizer (blob TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    INSERT OR IGNORE INTO tokenizer SELECT json_extract(record, '$.tokenizer') FROM model;
    INSERT OR IGNORE INTO tokenizer SELECT blob FROM (
      SELECT DISTINCT CASE WHEN json_valid(CAST(rendering AS TEXT))
        THEN json_extract(CAST(rendering AS TEXT), '$.tokenizer') END AS blob FROM request
    ) WHERE blob IS NOT NULL;
    CREATE INDEX file_blob ON file (blob);
    CREATE INDEX batch_input ON batch (input_blob);
    CREATE INDEX unit_result ON unit (result) WHERE result IS NOT NULL;
    CREATE INDEX replica_result ON replica (result) WHERE result IS NOT NULL;
    """

  /// Thousandths of a joule that workers claim, and the part that they estimated. A replica has
  /// them from its submission, the totals when its result is accepted.
  private static let energy = """
    ALTER TABLE replica ADD COLUMN energy INTEGER;
    ALTER TABLE replica ADD COLUMN estimated_energy INTEGER;
    ALTER TABLE account ADD COLUMN energy INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE account ADD COLUMN estimated_energy INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN energy INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN estimated_energy INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contribution ADD COLUMN energy INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contribution ADD COLUMN estimated_energy INTEGER NOT NULL DEFAULT 0;
    """

  /// A queue is of a batch or of a fine-tuning job. SQLite cannot drop a column's NOT NULL, so that
  /// the table is made anew.
  private static let queues = """
    CREATE TABLE fine_tuning_job (
      number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
      key_id TEXT NOT NULL REFERENCES api_key, fingerprint TEXT NOT NULL, model TEXT NOT NULL,
      training_file TEXT NOT NULL, training_blob TEXT NOT NULL, validation_file TEXT,
      validation_blob TEXT, suffix TEXT, seed INTEGER NOT NULL, options TEXT NOT NULL,
      metadata TEXT, pool TEXT NOT NULL, priority INTEGER NOT NULL, state TEXT NOT NULL,
      created_at INTEGER NOT NULL, started_at INTEGER, resumed_at INTEGER, ended_at INTEGER,
      failure TEXT, plan TEXT, base TEXT,
      velocity TEXT, chosen INTEGER, tuned_model TEXT, result_files TEXT NOT NULL DEFAULT '[]',
      trained_tokens INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE new_queue (
      number INTEGER PRIMARY KEY, batch INTEGER REFERENCES batch,
      job INTEGER REFERENCES fine_tuning_job, kind TEXT NOT NULL DEFAULT 'generate', adapter TEXT,
      key_id TEXT NOT NULL REFERENCES api_key, pool TEXT NOT NULL,
      manifest TEXT NOT NULL REFERENCES manifest, cache TEXT NOT NULL, priority INTEGER NOT NULL,
      virtual_time REAL NOT NULL DEFAULT 0, released INTEGER NOT NULL DEFAULT 0,
      waiting INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),
      missing INTEGER NOT NULL DEFAULT 0 CHECK (missing >= 0),
      learned_tokens INTEGER NOT NULL DEFAULT 0, learned_sequences INTEGER NOT NULL DEFAULT 0,
      CHECK ((batch IS NULL) <> (job IS NULL))
    ) STRICT;
    INSERT INTO new_queue (number, batch, key_id, pool, manifest, cache, priority, virtual_time,
        released, waiting, missing, learned_tokens, learned_sequences)
      SELECT number, batch, key_id, pool, manifest, cache, priority, virtual_time, released,
        waiting, missing, learned_tokens, learned_sequences FROM queue;
    DROP TABLE queue;
    ALTER TABLE new_queue RENAME TO queue;
    CREATE UNIQUE INDEX queue_of_batch ON queue (batch, manifest, cache, ifnull(adapter, ''))
      WHERE batch IS NOT NULL;
    CREATE UNIQUE INDEX queue_of_job ON queue (job, kind) WHERE job IS NOT NULL;
    CREATE INDEX queue_active ON queue (number) WHERE released = 1 AND (waiting > 0 OR missing > 0);
    """

  private static let fineTuning = """
    CREATE INDEX fine_tuning_of_key ON fine_tuning_job (key_id, number);
    CREATE INDEX fine_tuning_retry ON fine_tuning_job (fingerprint, created_at);
    CREATE INDEX fine_tuning_open ON fine_tuning_job (state, number)
      WHERE state IN ('validating', 'running');
    CREATE INDEX fine_tuning_training ON fine_tuning_job (training_blob);
    CREATE INDEX fine_tuning_validation ON fine_tuning_job (validation_blob)
      WHERE validation_blob IS NOT NULL;
    CREATE INDEX fine_tuning_velocity ON fine_tuning_job (velocity) WHERE velocity IS NOT NULL;
    ALTER TABLE unit ADD COLUMN kind TEXT NOT NULL DEFAULT 'generate';
    ALTER TABLE unit ADD COLUMN adapter TEXT;
    CREATE INDEX unit_adapter ON unit (adapter) WHERE adapter IS NOT NULL;
    ALTER TABLE model ADD COLUMN adapter TEXT;
    CREATE INDEX model_adapter ON model (adapter) WHERE adapter IS NOT NULL;
    CREATE INDEX queue_adapter ON queue (adapter) WHERE adapter IS NOT NULL;
    CREATE TABLE fine_tuning_round (
      job INTEGER NOT NULL REFERENCES fine_tuning_job, number INTEGER NOT NULL,
      adapter TEXT NOT NULL, published_at INTEGER NOT NULL, joined_at INTEGER, metrics TEXT,
      validation_loss REAL, checkpoint TEXT NOT NULL UNIQUE, PRIMARY KEY (job, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX fine_tuning_adapter ON fine_tuning_round (adapter);
    CREATE TABLE fine_tuning_unit (
      unit INTEGER PRIMARY KEY REFERENCES unit, job INTEGER NOT NULL REFERENCES fine_tuning_job,
      round INTEGER NOT NULL, kind TEXT NOT NULL, shard INTEGER NOT NULL,
      joined INTEGER NOT NULL DEFAULT 0, UNIQUE (job, round, kind, shard)
    ) STRICT;
    CREATE TABLE fine_tuning_event (
      number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
      job INTEGER NOT NULL REFERENCES fine_tuning_job, created_at INTEGER NOT NULL,
      level TEXT NOT NULL, message TEXT NOT NULL, metrics TEXT
    ) STRICT;
    CREATE INDEX fine_tuning_event_of_job ON fine_tuning_event (job, number);
    CREATE TABLE fine_tuning_blob (
      blob TEXT NOT NULL, job INTEGER NOT NULL REFERENCES fine_tuning_job, PRIMARY KEY (blob, job)
    ) STRICT, WITHOUT ROWID;
    """

  /// What fine-tuning takes of a key's quota: bytes of the blobs that are kept for jobs, and tokens
  /// that a running job may take. Both are 0 for jobs of before, of which nobody knows them.
  private static let tuningUsage = """
    ALTER TABLE fine_tuning_blob ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX fine_tuning_blob_of_job ON fine_tuning_blob (job);
    ALTER TABLE fine_tuning_job ADD COLUMN reserved_tokens INTEGER NOT NULL DEFAULT 0;
    """

  /// Names of a model outlive its record, since units of a model that was replaced or removed go
  /// on. Keys have numbers so that the newest are known among those of one millisecond.
  private static let volunteers = """
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
  private static let names = """
    ALTER TABLE account ADD COLUMN likeness TEXT NOT NULL DEFAULT '';
    ALTER TABLE account ADD COLUMN team_changed_at INTEGER;
    ALTER TABLE team ADD COLUMN likeness TEXT NOT NULL DEFAULT '';
    CREATE INDEX account_likeness ON account (likeness);
    CREATE INDEX team_likeness ON team (likeness);
    DELETE FROM team WHERE id NOT IN (SELECT team FROM account WHERE team IS NOT NULL);
    """

  /// Failures and returns of accounts; how far a lease may be extended, and when it is late; since
  /// when a unit lacks replicas, and how many accounts (machines in the trusted pool) had one.
  /// Speeds that workers claimed are replaced by those that their accepted results took since the
  /// lease.
  private static let leases = """
    ALTER TABLE account ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE account ADD COLUMN backoff_until INTEGER;
    ALTER TABLE account ADD COLUMN returns_until INTEGER;
    ALTER TABLE worker ADD COLUMN failed_at INTEGER;
    ALTER TABLE worker ADD COLUMN result_at INTEGER;
    ALTER TABLE replica ADD COLUMN idle_deadline INTEGER;
    ALTER TABLE replica ADD COLUMN late_at INTEGER;
    ALTER TABLE replica ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE replica ADD COLUMN measured_seconds REAL;
    ALTER TABLE unit ADD COLUMN wanted_since INTEGER;
    ALTER TABLE unit ADD COLUMN parties INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX replica_late ON replica (late_at) WHERE state = 'running' AND late = 0;
    CREATE INDEX replica_running ON replica (account) WHERE state = 'running';
    CREATE INDEX replica_refused ON replica (worker, issued_at) WHERE reason = 'invalidUnit';
    DROP INDEX worker_seen;
    CREATE INDEX worker_seen ON worker
      (last_seen, suspended_until, backoff_until, banned_at, trusted, account);
    UPDATE worker SET speed = (
      SELECT avg(unit.flops * 1000.0 / max(1, replica.submitted_at - replica.issued_at))
      FROM replica JOIN unit ON unit.number = replica.unit
      WHERE replica.worker = worker.id AND replica.state = 'accepted' AND unit.flops > 0);
    UPDATE unit SET missing = max(0, CASE pool WHEN 'public' THEN 2 ELSE 1 END - (
        SELECT count(DISTINCT account) FROM replica
        WHERE replica.unit = unit.number AND replica.state IN ('running', 'submitted')))
      WHERE state = 'awaiting_replay' AND reason = 'lostReplicas';
    UPDATE queue SET missing = missing + (
        SELECT ifnull(sum(missing), 0) FROM unit WHERE unit.queue = queue.number
          AND unit.state = 'awaiting_replay' AND unit.reason = 'lostReplicas')
      WHERE number IN (SELECT queue FROM unit
        WHERE state = 'awaiting_replay' AND reason = 'lostReplicas');
    """

  /// When a worker's membership was ended, for which certificates alone stood before: a worker may
  /// have none. Whether a certificate was given with another name. When a lease last got further.
  private static let memberships = """
    ALTER TABLE worker ADD COLUMN revoked_at INTEGER;
    UPDATE worker SET revoked_at = coalesce(deleted_at, last_seen, created_at)
      WHERE deleted_at IS NOT NULL OR id IN (SELECT worker FROM certificate WHERE revoked = 1);
    ALTER TABLE certificate ADD COLUMN renames INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE replica ADD COLUMN progress_at INTEGER;
    """

  /// How many accounts a unit wants was not kept before; of open units it follows from the replicas
  /// that they have and miss.
  ///
  /// `unit.audit` is `due`, `passed` or `failed`; `unit.delivered` is the wrong result that
  /// somebody was given before an audit found it. `confirmation` has an account's first few
  /// confirmations: by an established account, or by the trusted machine, which is named by the
  /// unit. A replica has a second receipt when an audit takes back what the first one gave.
  private static let verdicts = """
    ALTER TABLE unit ADD COLUMN wanted INTEGER NOT NULL DEFAULT 2;
    ALTER TABLE unit ADD COLUMN audit TEXT;
    ALTER TABLE unit ADD COLUMN audited_at INTEGER;
    ALTER TABLE unit ADD COLUMN delivered TEXT;
    UPDATE unit SET wanted = 1 WHERE pool = 'trusted';
    CREATE INDEX unit_audit ON unit (audit, number) WHERE audit IS NOT NULL;
    UPDATE unit SET wanted = max(wanted, missing + (
        SELECT count(DISTINCT account) FROM replica
        WHERE replica.unit = unit.number AND replica.state IN ('running', 'submitted')))
      WHERE state = 'open';
    UPDATE unit SET missing = max(0, wanted - (
        SELECT count(DISTINCT account) FROM replica
        WHERE replica.unit = unit.number AND replica.state IN ('running', 'submitted')))
      WHERE state = 'open';
    ALTER TABLE account ADD COLUMN suspended_until INTEGER;
    ALTER TABLE account ADD COLUMN no_enrolment_until INTEGER;
    ALTER TABLE account ADD COLUMN replay_day INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE account ADD COLUMN replay_flops REAL NOT NULL DEFAULT 0;
    CREATE TABLE confirmation (
      account TEXT NOT NULL REFERENCES account, by TEXT NOT NULL, PRIMARY KEY (account, by)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX account_suspended ON account (suspended_until) WHERE suspended_until IS NOT NULL;
    CREATE INDEX account_backoff ON account (backoff_until) WHERE backoff_until IS NOT NULL;
    CREATE INDEX account_banned ON account (banned_at) WHERE banned_at IS NOT NULL;
    CREATE INDEX account_returns ON account (returns_until) WHERE returns_until IS NOT NULL;
    CREATE INDEX replica_rejected ON replica (account, submitted_at) WHERE state = 'rejected';
    CREATE TABLE new_receipt (
      sequence INTEGER PRIMARY KEY, previous TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL,
      replica INTEGER NOT NULL REFERENCES replica
    ) STRICT;
    INSERT INTO new_receipt SELECT sequence, previous, body, hash, replica FROM receipt;
    DROP TABLE receipt;
    ALTER TABLE new_receipt RENAME TO receipt;
    CREATE INDEX receipt_of_replica ON receipt (replica);
    """
}

/// Batches, units, leases and verdicts. The order is that of `Migrations.migrator`.
extension Migrations {
  static let batches = """
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

  static let work = """
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

  /// Tokenizers are also named by the renderings of requests whose model was replaced since.
  static let storage = """
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

  /// Failures and returns of accounts; how far a lease may be extended, and when it is late; since
  /// when a unit lacks replicas, and how many accounts (machines in the trusted pool) had one.
  /// Speeds that workers claimed are replaced by those that their accepted results took since the
  /// lease.
  static let leases = """
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

  /// How many accounts a unit wants was not kept before; of open units it follows from the replicas
  /// that they have and miss.
  ///
  /// `unit.audit` is `due`, `passed` or `failed`; `unit.delivered` is the wrong result that
  /// somebody was given before an audit found it. `confirmation` has an account's first few
  /// confirmations: by an established account, or by the trusted machine, which is named by the
  /// unit. A replica has a second receipt when an audit takes back what the first one gave.
  static let verdicts = """
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

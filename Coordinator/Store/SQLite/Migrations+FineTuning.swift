/// Fine-tuning jobs, and what they take of a quota. The order is that of `Migrations.migrator`.
extension Migrations {
  /// A queue is of a batch or of a fine-tuning job. SQLite cannot drop a column's NOT NULL, so that
  /// the table is made anew.
  static let queues = """
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

  static let fineTuning = """
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
  static let tuningUsage = """
    ALTER TABLE fine_tuning_blob ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX fine_tuning_blob_of_job ON fine_tuning_blob (job);
    ALTER TABLE fine_tuning_job ADD COLUMN reserved_tokens INTEGER NOT NULL DEFAULT 0;
    """
}

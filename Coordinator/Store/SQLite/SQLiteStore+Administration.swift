import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func administration() async throws -> Administration {
    try await read { try Administration($0) }
  }

  func setLeasing(_ state: LeasingState) async throws {
    try await write { try $0.set(.leasing, state == .open ? nil : state.rawValue) }
  }

  func setMessage(_ message: String?) async throws {
    try StoreLimit.requireShort(message ?? "")
    try await write { try $0.set(.message, message) }
  }

  func setMinimumWorkerVersion(_ version: ProgramVersion?) async throws {
    try await write { try $0.set(.minimumWorkerVersion, version?.description) }
  }

  func setNextAddress(_ url: String?) async throws {
    try await write { try $0.set(.nextAddress, url) }
  }

  func setOperatorKey(hash: Digest?) async throws {
    try await write { try $0.set(.operatorKey, hash?.hex) }
  }

  func isOperatorKey(hash: Digest) async throws -> Bool {
    try await read { db in
      let row = try db.first("SELECT value FROM setting WHERE name = 'operator_key'")
      return try row?.value("value", as: String.self) == hash.hex
    }
  }

  func runningLeases() async throws -> Int {
    try await read { try $0.runningReplicas() }
  }

  func ban(_ subject: BanSubject, reason: String, now: Timestamp) async throws {
    try StoreLimit.requireShort(reason)
    try await write { transaction in
      let db = transaction.db
      let workers: [String]
      switch subject {
      case .worker(let id):
        try db.run(
          "UPDATE worker SET banned_at = ?, ban_reason = ? WHERE id = ?", [now, reason, id])
        guard db.changesCount > 0 else { throw subject.unknown }
        workers = [id]
      case .account(let id):
        try db.run(
          "UPDATE account SET banned_at = ?, ban_reason = ? WHERE id = ?", [now, reason, id])
        guard db.changesCount > 0 else { throw subject.unknown }
        workers = try transaction.workers(of: id)
      }
      for worker in workers { try transaction.takeBack(worker: worker, now: now) }
    }
  }

  func unban(_ subject: BanSubject) async throws -> Bool {
    try await write { transaction in
      let db = transaction.db
      let row =
        switch subject {
        case .worker(let id): try db.first("SELECT banned_at FROM worker WHERE id = ?", [id])
        case .account(let id): try db.first("SELECT banned_at FROM account WHERE id = ?", [id])
        }
      guard let row else { throw subject.unknown }
      guard try row.optional("banned_at", as: Timestamp.self) != nil else { return false }
      switch subject {
      case .worker(let id):
        try db.run("UPDATE worker SET banned_at = NULL, ban_reason = NULL WHERE id = ?", [id])
      case .account(let id):
        try db.run("UPDATE account SET banned_at = NULL, ban_reason = NULL WHERE id = ?", [id])
      }
      return true
    }
  }

  func fleet(now: Timestamp) async throws -> FleetOverview {
    try await read { db in
      FleetOverview(
        accounts: try db.all(
          """
          SELECT account.*,
            (SELECT count(*) FROM worker WHERE worker.account = account.id) AS workers,
            (SELECT count(*) FROM replica JOIN worker ON worker.id = replica.worker
              WHERE worker.account = account.id AND replica.state = 'running') AS running
          FROM account WHERE deleted_at IS NULL ORDER BY name
          """
        ).map { try FleetOverview.Account(row: $0, now: now) },
        workers: try db.all(
          """
          SELECT worker.*, account.name AS account_name, account.banned_at AS account_banned_at,
            account.ban_reason AS account_ban_reason, account.suspended_until AS account_suspended,
            (SELECT count(*) FROM replica
              WHERE replica.worker = worker.id AND replica.state = 'running') AS running
          FROM worker JOIN account ON account.id = worker.account
          WHERE worker.deleted_at IS NULL ORDER BY last_seen DESC, worker.created_at, worker.id
          """
        ).map { try FleetOverview.Worker(row: $0, now: now) })
    }
  }
}

extension BanSubject {
  fileprivate var unknown: StoreError {
    switch self {
    case .worker(let id): StoreError(.notFound, "There is no worker \(id).")
    case .account(let id): StoreError(.notFound, "There is no account \(id).")
    }
  }
}

/// Rows of the `setting` table that hold what the operator set; a missing row is the default.
enum AdministrationSetting: String {
  case leasing
  case message
  case minimumWorkerVersion = "minimum_worker_version"
  case nextAddress = "next_address"
  /// The hash of a secret, not shown with the others.
  case operatorKey = "operator_key"
}

extension Administration {
  init(_ db: Database) throws {
    self.init()
    let rows = try db.all(
      """
      SELECT name, value FROM setting
      WHERE name IN ('leasing', 'message', 'minimum_worker_version', 'next_address')
      """)
    for row in rows {
      let text: String = try row.value("value")
      switch AdministrationSetting(rawValue: try row.value("name")) {
      case .leasing: leasing = try row.name("value")
      case .message: message = text
      case .minimumWorkerVersion:
        guard let version = ProgramVersion(text) else { throw Row.damaged("setting.value") }
        minimumWorkerVersion = version
      case .nextAddress: nextAddress = text
      case .operatorKey, nil: throw Row.damaged("setting.name")
      }
    }
  }
}

extension Ban {
  /// A worker's ban from a row that joins it with its account, the worker's own first; nil when
  /// there is none.
  init?(worker row: Row) throws {
    if let ban = try Ban(row, "banned_at", "ban_reason", coversAccount: false) {
      self = ban
    } else if let ban = try Ban(
      row, "account_banned_at", "account_ban_reason", coversAccount: true)
    {
      self = ban
    } else {
      return nil
    }
  }

  init?(_ row: Row, _ since: String, _ reason: String, coversAccount: Bool) throws {
    guard let since: Timestamp = try row.optional(since) else { return nil }
    self.init(
      reason: try row.optional(reason) ?? "", since: since, coversAccount: coversAccount)
  }
}

extension Transaction {
  fileprivate func set(_ setting: AdministrationSetting, _ value: String?) throws {
    guard let value else {
      return try db.run("DELETE FROM setting WHERE name = ?", [setting.rawValue])
    }
    try db.run(
      """
      INSERT INTO setting (name, value) VALUES (?, ?)
      ON CONFLICT DO UPDATE SET value = excluded.value
      """, [setting.rawValue, value])
  }
}

extension FleetOverview.Account {
  fileprivate init(row: Row, now: Timestamp) throws {
    self.init(
      id: try row.value("id"), name: try row.value("name"), createdAt: try row.value("created_at"),
      workers: try row.value("workers"), runningUnits: try row.value("running"),
      accepted: try row.value("accepted"), rejected: try row.value("rejected"),
      credit: Credit(micro: try row.value("credit")),
      ban: try Ban(row, "banned_at", "ban_reason", coversAccount: true),
      suspendedUntil: try row.suspension(at: now))
  }
}

extension Row {
  /// Until when a worker, or an account, gets no work after wrong results: the later of the
  /// columns; nil when it does.
  func suspension(
    _ columns: [String] = ["suspended_until"], at now: Timestamp
  ) throws -> Timestamp? {
    try columns.compactMap { try optional($0, as: Timestamp.self) }.filter { $0 > now }.max()
  }
}

extension MachineFacts {
  /// From the `machine` column of a worker; nil where it is null.
  init?(row: Row, _ column: String = "machine") throws {
    guard try row.optional(column, as: String.self) != nil else { return nil }
    self = try row.json(column)
  }
}

extension FleetOverview.Worker {
  fileprivate init(row: Row, now: Timestamp) throws {
    self.init(
      id: try row.value("id"), name: try row.value("name"), accountID: try row.value("account"),
      accountName: try row.value("account_name"), trusted: try row.value("trusted"),
      lastSeen: try row.optional("last_seen"), flopsPerSecond: try row.optional("speed"),
      runningUnits: try row.value("running"), consecutiveValid: try row.value("consecutive_valid"),
      rejected: try row.value("rejected"),
      suspendedUntil: try row.suspension(["suspended_until", "account_suspended"], at: now),
      ban: try Ban(worker: row),
      machine: try MachineFacts(row: row),
      hasClones: try WorkerRuns(row: row).areSeveral(at: now))
  }
}

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

  /// The same with what a `SQLiteStorage` has beside: nothing that decides in SQL keeps it.
  static var fleetMigrator: DatabaseMigrator {
    var migrator = migrator
    migrator.registerMigration("18: the fleet's rows") {
      try $0.execute(sql: fleetWork + fleetPeople)
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
}

import CoordinatorCore
import GRDB

/// What a store does when it is opened and closed.
extension DatabaseWriter {
  /// Puts right how many replicas queues say their units miss: a queue whose count is too small
  /// would be passed over for ever. Writes nothing when they are right.
  func recountMissing() throws {
    guard try !read({ try $0.wrongQueues() }).isEmpty else { return }
    try write { db in
      for queue in try db.wrongQueues() {
        try db.run(
          "UPDATE queue SET missing = ? WHERE number = ?",
          [try queue.value("right", as: Int.self), try queue.value("number", as: Int64.self)])
      }
    }
  }

  /// Lets SQLite measure its indexes once the history has grown tenfold since it did, so that it
  /// plans for the tables as they are. It reads a few hundred entries of each index.
  func analyseIfGrown() throws {
    let isDue = try read { db in
      let rows = try db.integer("SELECT max(number) FROM replica")
      guard rows > fewReplicas else { return false }
      guard try db.tableExists("sqlite_stat1") else { return true }
      let measured = try db.integer(
        "SELECT max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE tbl = 'replica'")
      return rows > 10 * max(measured, fewReplicas)
    }
    guard isDue else { return }
    try writeWithoutTransaction { db in
      try db.execute(sql: "PRAGMA analysis_limit = 400; ANALYZE")
    }
  }
}

/// What small tables say would mislead: any plan is quick there.
private let fewReplicas = 1_000

extension Database {
  /// Queues whose `missing` is not the sum of their units', and that sum.
  fileprivate func wrongQueues() throws -> [Row] {
    try all(
      """
      SELECT number, right FROM (
        SELECT queue.number AS number, queue.missing AS missing,
          (SELECT ifnull(sum(unit.missing), 0) FROM unit
            WHERE unit.queue = queue.number AND unit.missing > 0) AS right
        FROM queue) WHERE missing <> right
      """)
  }
}

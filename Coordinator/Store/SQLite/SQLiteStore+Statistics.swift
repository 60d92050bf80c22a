import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func statistics(now: Timestamp) async throws -> StatisticsSnapshot {
    try await read { db in
      let accounts = try db.all(
        """
        SELECT account.*, (SELECT count(*) FROM worker WHERE worker.account = account.id) AS workers
        FROM account ORDER BY credit DESC, created_at, id
        """
      ).map { row in
        StatisticsSnapshot.Account(
          id: try row.value("id"), name: try row.value("name"),
          createdAt: try row.value("created_at"), workers: try row.value("workers"),
          contribution: try Contribution(row: row, now: now))
      }
      let workers = try db.all("SELECT * FROM worker ORDER BY credit DESC, created_at, id").map {
        row in
        StatisticsSnapshot.Worker(
          id: try row.value("id"), accountID: try row.value("account"),
          name: try row.value("name"), trusted: try row.value("trusted"),
          createdAt: try row.value("created_at"), lastSeen: try row.optional("last_seen"),
          suspendedUntil: try row.optional("suspended_until"),
          consecutiveValid: try row.value("consecutive_valid"),
          contribution: try Contribution(row: row, now: now))
      }
      return StatisticsSnapshot(
        takenAt: now,
        unitsAccepted: try db.integer("SELECT count(*) FROM unit WHERE state = 'accepted'"),
        requestsCompleted: try db.integer("SELECT sum(completed) FROM batch"),
        batches: try db.integer("SELECT count(*) FROM batch"),
        totals: Contribution(summing: accounts.map(\.contribution)), accounts: accounts,
        workers: workers)
    }
  }

  func receipts(after: Int, limit: Int) async throws -> [ReceiptRecord] {
    try await read { db in
      try db.all(
        "SELECT * FROM receipt WHERE sequence > ? ORDER BY sequence LIMIT ?", [after, limit]
      ).map { row in
        ReceiptRecord(
          body: try row.json("body"), previous: try row.value("previous"),
          hash: try row.value("hash"))
      }
    }
  }

  func verifyReceiptChain() async throws -> ReceiptChainCheck {
    try await read { db in
      var count = 0
      var head = ReceiptRecord.start
      let rows = try Row.fetchCursor(db, sql: "SELECT * FROM receipt ORDER BY sequence")
      while let row = try rows.next() {
        let number: Int = try row.value("sequence")
        func broken(_ reason: String) -> ReceiptChainCheck {
          .broken(sequence: number, reason: reason)
        }
        let body: String = try row.value("body")
        guard number == count + 1 else { return broken("receipt \(count + 1) is missing") }
        guard try row.value("previous", as: Digest.self) == head else {
          return broken("it does not follow the receipt before")
        }
        let hash = ReceiptRecord.hash(previous: head, body: body)
        guard try row.value("hash", as: Digest.self) == hash else {
          return broken("its text does not have its hash")
        }
        let said = try row.json("body", as: ReceiptRecord.Body.self)
        guard said.sequence == number else { return broken("its text has another number") }
        count = number
        head = hash
      }
      return .intact(count: count, head: head)
    }
  }
}

extension Contribution {
  /// From the columns that `account` and `worker` share.
  fileprivate init(row: Row, now: Timestamp) throws {
    let average = RecentAverage(
      value: try row.value("average"), time: try row.value("average_at"))
    self.init(
      accepted: try row.value("accepted"), rejected: try row.value("rejected"),
      tokens: try row.value("tokens"), credit: Credit(micro: try row.value("credit")).value,
      recentAverageCredit: average.value(at: now))
  }

  fileprivate init(summing parts: [Contribution]) {
    self.init(
      accepted: parts.reduce(0) { $0 + $1.accepted },
      rejected: parts.reduce(0) { $0 + $1.rejected }, tokens: parts.reduce(0) { $0 + $1.tokens },
      credit: parts.reduce(0) { $0 + $1.credit },
      recentAverageCredit: parts.reduce(0) { $0 + $1.recentAverageCredit })
  }
}

import WireProtocol

/// What there is one of: what the operator set, counters, and where histories end.
package struct SettingsRow: FleetRow {
  package var administration = Administration()
  /// The hash of the key that opens the dashboard as the operator.
  package var operatorKey: Digest?
  /// Where the key that was served last started (`FairShare`).
  package var virtualTime = 0.0
  /// Of the draw of second accounts (`Sortition`); nil before it is made.
  package var drawSecret: String?
  package var clock: KeptClock?
  /// The last receipt's number and hash.
  package var receipts = 0
  package var receiptHead = ReceiptRecord.start
  /// The last number that was given, by the kind of row.
  package var numbers: [String: Int64] = [:]
  package var totals = FleetTotals()

  package init() {}

  /// There is one row.
  package var key: Int { 0 }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.settings }
  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {}
}

/// Counters of everything so far.
package struct FleetTotals: Hashable, Sendable, Codable {
  /// By the state's name.
  package var units: [String: Int] = [:]
  /// By the status as the API spells it.
  package var batches: [String: Int] = [:]
  package var tuningJobs: [String: Int] = [:]
  package var completedRequests = 0
  package var failedRequests = 0
  package var auditsPassed = 0
  package var auditsFailed = 0
  /// Failed ones whose wrong result had been delivered.
  package var auditsFailedDelivered = 0

  package init() {}
}

extension Fleet {
  package var setting: SettingsRow { settings[0] ?? SettingsRow() }

  mutating func changeSettings(_ body: (inout SettingsRow) -> Void) {
    var row = setting
    let old = row
    body(&row)
    if row != old || settings[0] == nil { put(row) }
  }

  /// The next number of a kind of row, from 1.
  mutating func nextNumber(_ kind: String) -> Int64 {
    let number = (setting.numbers[kind] ?? 0) + 1
    changeSettings { $0.numbers[kind] = number }
    return number
  }
}

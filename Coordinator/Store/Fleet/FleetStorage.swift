import CoordinatorCore
import WireProtocol

/// Where a fleet's rows are kept. A storage decides nothing: it loads the working set, writes what
/// a group of decisions changed, gives rows that decisions lack, and answers for what has ended.
package protocol FleetStorage: Sendable {
  /// Everything that is alive.
  func load() async throws -> WorkingSet
  /// Writes all of a group or nothing; durable when it returns.
  func apply(_ changes: FleetChanges) async throws
  /// Rows that a decision lacks; those that there are.
  ///
  /// - Parameter line: for a window of requests, the last line that the fleet has fetched.
  func supply(_ lack: Lack, afterLine line: Int) async throws -> Supply

  func batch(_ id: String) async throws -> BatchRow?
  /// Batches by number.
  ///
  /// - Parameters:
  ///   - key: of this key alone; nil for all.
  ///   - number: where the page begins, without that one; nil for the end that the order begins at.
  func batches(
    ofKey key: String?, after number: Int64?, limit: Int, order: PageRequest.Order
  ) async throws -> [BatchRow]
  func tuningJob(_ id: String) async throws -> TuningJobRow?
  func tuningJobs(
    ofKey key: String?, after number: Int64?, limit: Int, order: PageRequest.Order
  ) async throws -> [TuningJobRow]
  func rounds(ofJob number: Int64) async throws -> [TuningRoundRow]
  func units(ofJob number: Int64) async throws -> [UnitRow]
  /// A job's events, the newest first, after the one with this id.
  ///
  /// - Throws: `StoreError.unknownCursor`.
  func events(ofJob number: Int64, after id: String?, limit: Int) async throws -> [FineTuningEvent]
  /// Units of a batch: those that have not ended first, in the order in which they were cut, then
  /// those that ended last.
  func units(ofBatch number: Int64, limit: Int) async throws -> [UnitRow]
  /// Requests of a batch in line order with what became of them.
  func outcomes(ofBatch number: Int64, afterLine: Int, limit: Int) async throws -> [RequestOutcome]
  /// Units whose audit failed, the latest first.
  func failedAudits(limit: Int) async throws -> [UnitRow]
  /// Units with this blob as inputs, adapter or a result.
  func units(naming blob: Digest) async throws -> [UnitRow]
  func receipts(after sequence: Int, limit: Int) async throws -> [ReceiptRow]
  /// What workers contributed on days.
  ///
  /// - Parameter workers: their ids; nil for all.
  func history(
    of workers: [String]?, from first: Day, through last: Day
  ) async throws -> [DayContribution]
  /// Throws unless it answers and can write.
  func checkReady() async throws
}

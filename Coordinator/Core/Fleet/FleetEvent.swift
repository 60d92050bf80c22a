/// Something that happens to the fleet: a call of a worker, a client or the operator, or time that
/// has passed.
package protocol FleetEvent: Sendable {
  associatedtype Answer: Sendable

  /// Decides what it means.
  ///
  /// - Throws: `Lack`, `StoreError`, `QuotaRefusal`; the fleet then takes back what was changed.
  func decide(in fleet: inout Fleet) throws -> Answer
}

/// Something that a decision needs and that the working set does not hold.
package enum Lack: Error, Hashable, Sendable {
  /// The unit that a lease is of.
  case lease(String)
  case batch(String)
  case tuningJob(String)
  /// More waiting requests of a queue.
  case window(queue: Int64)
  /// The newest accepted units of a worker, so many at most.
  case acceptedUnits(worker: String, limit: Int)
}

/// Where a decision's randomness comes from.
package struct FleetDraw: Sendable {
  package let identifiers: Identifiers
  package let lots: Lots

  package init(identifiers: Identifiers, lots: Lots) {
    self.identifiers = identifiers
    self.lots = lots
  }
}

extension Fleet {
  /// A new id with this prefix.
  func newID(_ prefix: String) -> String { draw.identifiers.make(prefix) }

  /// - Throws: `lack`, unless the storage does not have it either.
  func need(_ lack: Lack) throws {
    if !absent.contains(lack) { throw lack }
  }
}

import WireProtocol

/// A unit to be opened; its inputs are a durable blob, or an effect of the same decision.
struct NewUnit {
  var specification: UnitSpecification
  var queue: Int64
  var pool: WorkPool
  var memoryBytes: Int
  /// Prompt tokens of each sequence; of units that learn, all tokens.
  var tokens: [Int]
  var flops: Double
  var members: [UnitMember] = []
  var tuning: TuningShard?
}

/// Who is there: workers that asked for work of late and may be given some.
package struct FleetPresence: Hashable, Sendable {
  package func workers(_ pool: WorkPool) -> Int { 0 }
  package func accounts(_ pool: WorkPool) -> Int { 0 }
  /// Operations a second of the workers of a pool together, and on average of all those that have
  /// shown a speed; nil when none has.
  package func flopsPerSecond(_ pool: WorkPool) -> Double { 0 }
  package var meanSpeed: Double? { nil }
  /// Ids of accounts with a worker that is there, and of trusted workers that are there.
  package var presentAccounts: Set<String> { [] }
  package var presentTrustedWorkers: Set<String> { [] }
}

extension Fleet {
  mutating func open(_ unit: NewUnit) throws -> UnitRow { throw StoreError(.invalid, "seam") }
  package func presence(at time: Timestamp) -> FleetPresence { FleetPresence() }
  mutating func noteFailure(of worker: String, leased: Timestamp) throws {}
  mutating func touch(worker: String) {}
  /// Why and with what a worker asked last; nil when it has not asked since the start.
  package func lastRequest(of worker: String) -> (profile: WorkerProfile, passedOver: [IdleReason: Int])? { nil }
  /// A queue as the scheduler sees it.
  package func workQueue(_ row: QueueRow) throws -> WorkQueue { throw StoreError(.invalid, "seam") }
}

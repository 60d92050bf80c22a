import WireProtocol

/// What each worker last asked for work with, and why it got none: for saying why work waits. Lost
/// at a restart, and complete again once every idle worker has asked.
struct RecentRequests: Sendable {
  struct Entry: Sendable {
    var profile: WorkerProfile
    var passedOver: [IdleReason: Int]
    var at: Timestamp
  }

  private static let workers = 10_000
  /// Models in a worker's cache that are remembered of it.
  static let cachedModels = 256

  private var entries: [String: Entry] = [:]

  mutating func note(_ worker: String, _ entry: Entry, keptSeconds: Int) {
    if entries.count >= Self.workers, entries[worker] == nil {
      entries = entries.filter { entry.at.seconds(since: $0.value.at) < Double(keptSeconds) }
      guard entries.count < Self.workers else { return }
    }
    entries[worker] = entry
  }

  subscript(worker: String) -> Entry? { entries[worker] }
}

extension Fleet {
  /// Why and with what a worker asked last; nil when it has not asked since the start.
  package func lastRequest(
    of worker: String
  ) -> (profile: WorkerProfile, passedOver: [IdleReason: Int])? {
    recentRequests[worker].map { ($0.profile, $0.passedOver) }
  }
}

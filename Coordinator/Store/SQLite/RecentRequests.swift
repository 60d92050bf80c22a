import CoordinatorCore
import Synchronization
import WireProtocol

/// What each worker last asked for work with, and why it got none: for saying why work waits. Lost
/// at a restart, and complete again once every idle worker has asked.
final class RecentRequests: Sendable {
  struct Entry: Sendable {
    var profile: WorkerProfile
    var passedOver: [IdleReason: Int]
    var at: Timestamp
  }

  private static let workers = 10_000
  /// Models in a worker's cache that are remembered of it.
  private static let cachedModels = 256

  private let entries = Mutex<[String: Entry]>([:])

  func note(
    _ worker: String, _ profile: WorkerProfile, _ response: LeaseResponse, keptSeconds: Int,
    now: Timestamp
  ) {
    var profile = profile
    profile.cachedModels = Set(profile.cachedModels.prefix(Self.cachedModels))
    let entry = Entry(
      profile: profile, passedOver: response.leases.isEmpty ? response.reasons : [:], at: now)
    entries.withLock { entries in
      if entries.count >= Self.workers, entries[worker] == nil {
        entries = entries.filter { now.seconds(since: $0.value.at) < Double(keptSeconds) }
        guard entries.count < Self.workers else { return }
      }
      entries[worker] = entry
    }
  }

  subscript(worker: String) -> Entry? { entries.withLock { $0[worker] } }
}

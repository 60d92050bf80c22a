/// The processes that last asked for work with one worker's key. A worker that starts again asks
/// under a new name and never under the old one; of two that run with copies of one folder, each
/// comes back.
package struct WorkerRuns: Codable, Hashable, Sendable {
  /// Characters of a process's name that are kept.
  private static let nameLimit = 40
  /// Seconds for which two processes are reported after the last of them came back.
  package static let reportSeconds = 3600.0

  private var latest: String?
  private var before: String?
  /// When a process last came back after another had asked.
  private var returnedAt: Timestamp?

  package init() {}

  /// Notes that a process asked for work.
  package mutating func note(_ name: String, at now: Timestamp) {
    let name = String(name.prefix(Self.nameLimit))
    guard name != latest else { return }
    if name == before { returnedAt = now }
    (latest, before) = (name, latest)
  }

  /// Whether several processes seem to work with the key.
  package func areSeveral(at now: Timestamp) -> Bool {
    returnedAt.map { now.seconds(since: $0) < Self.reportSeconds } ?? false
  }

  /// What the volunteer is told of that.
  package static let message =
    "Two programs work with this worker's key: its folder was copied. Give each machine a folder "
    + "and an invitation of its own (tally worker join --data FOLDER)."
}

/// What a worker may transfer now: blobs down and results up. Messages of a few hundred bytes
/// (heartbeats, leases, the certificate) go on whatever it says, since without them the coordinator
/// would give the worker up.
package struct NetworkAllowance: Hashable, Sendable {
  /// Why nothing may be transferred; empty when it may.
  package var pauses: [PauseReason] = []
  /// Nil: no limit.
  package var downloadBytesPerSecond: Int?
  package var uploadBytesPerSecond: Int?
  /// In both directions together; nil: no limit.
  package var monthlyBytes: Int?

  package init() {}

  package var transfers: Bool { pauses.isEmpty }
}

extension NetworkAllowance {
  /// By the preferences alone.
  ///
  /// - Parameter isAlways: whether the owner's order overrides the hours.
  init(_ preferences: WorkerPreferences, _ around: Surroundings, isAlways: Bool) {
    downloadBytesPerSecond = preferences.downloadKilobytesPerSecond.map { $0 * 1000 }
    uploadBytesPerSecond = preferences.uploadKilobytesPerSecond.map { $0 * 1000 }
    monthlyBytes = preferences.monthlyMegabytes.map { $0 * 1_000_000 }
    let hours = preferences.networkHours
    if !isAlways, !hours.contains(weekday: around.weekday, minute: around.minuteOfDay) {
      pauses.append(.networkHours(hours))
    }
    if let monthlyBytes, around.transferredBytes >= monthlyBytes {
      pauses.append(
        .networkVolume(
          megabytes: around.transferredBytes / 1_000_000, limit: monthlyBytes / 1_000_000))
    }
  }
}

/// The size of a file system and what it has left, in bytes.
package struct DiskSpace: Hashable, Sendable {
  package var totalBytes: Int
  /// For programs without privileges.
  package var availableBytes: Int

  package init(totalBytes: Int, availableBytes: Int) {
    self.totalBytes = totalBytes
    self.availableBytes = availableBytes
  }
}

/// What the owner lets a worker's cache take of its file system.
package struct DiskLimits: Hashable, Sendable {
  /// Nil: as the worker was started.
  package var bytes: Int?
  /// Of the file system's size.
  package var percent: Int
  /// To be left free, whoever takes the rest.
  package var freeBytes: Int

  package init(bytes: Int? = nil, percent: Int = 100, freeBytes: Int = 0) {
    self.bytes = bytes
    self.percent = percent
    self.freeBytes = freeBytes
  }

  init(_ preferences: WorkerPreferences) {
    self.init(
      bytes: preferences.diskMegabytes.map { $0 * 1_000_000 }, percent: preferences.diskPercent,
      freeBytes: preferences.diskFreeMegabytes * 1_000_000)
  }

  /// What the cache may take now: the least of all limits, in bytes.
  ///
  /// - Parameters:
  ///   - startedBytes: the limit that the worker was started with.
  ///   - usedBytes: what the cache takes already, which is no free space.
  ///   - space: nil where it is not known.
  package func cacheBytes(startedBytes: Int, usedBytes: Int, space: DiskSpace?) -> Int {
    var limit = min(startedBytes, bytes ?? .max)
    if let space {
      limit = min(limit, space.totalBytes / 100 * percent)
      let room = usedBytes.addingReportingOverflow(space.availableBytes - freeBytes)
      if !room.overflow { limit = min(limit, room.partialValue) }
    }
    return max(0, limit)
  }
}

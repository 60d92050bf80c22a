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

  /// The setting that leaves a cache the least.
  package enum Setting: Hashable, Sendable {
    case start
    case megabytes(Int)
    case percent(Int)
    case free(megabytes: Int)

    /// As the owner writes it.
    package var words: String {
      switch self {
      case .start: "--cache-size"
      case .megabytes(let megabytes): "disk_megabytes=\(megabytes)"
      case .percent(let percent): "disk_percent=\(percent)"
      case .free(let megabytes): "disk_free_megabytes=\(megabytes)"
      }
    }
  }

  /// What the cache may take now: the least of all limits, in bytes, and the setting that says so.
  ///
  /// - Parameters:
  ///   - startedBytes: the limit that the worker was started with.
  ///   - usedBytes: what the cache takes already, which is no free space.
  ///   - space: nil where it is not known.
  package func cacheLimit(
    startedBytes: Int, usedBytes: Int, space: DiskSpace?
  ) -> (bytes: Int, setting: Setting) {
    var limits = [(bytes: startedBytes, setting: Setting.start)]
    if let bytes { limits.append((bytes, .megabytes(bytes / 1_000_000))) }
    if let space {
      limits.append((space.totalBytes / 100 * percent, .percent(percent)))
      let room = usedBytes.addingReportingOverflow(space.availableBytes - freeBytes)
      if !room.overflow {
        limits.append((room.partialValue, .free(megabytes: freeBytes / 1_000_000)))
      }
    }
    let least = limits.min { $0.bytes < $1.bytes } ?? limits[0]
    return (max(0, least.bytes), least.setting)
  }
}

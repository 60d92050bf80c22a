import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import Logging
import ServiceLifecycle
import WireProtocol

/// What the blobs of a data folder are, and what of them was deleted.
package struct StorageReport: Hashable, Sendable {
  /// Blobs and their bytes.
  package struct Amount: Hashable, Sendable {
    package var blobs = 0
    package var bytes = 0

    package init() {}

    mutating func add(_ listing: BlobListing) {
      blobs += 1
      bytes += listing.bytes
    }
  }

  package var kinds: [BlobRetention.Kind: Amount] = [:]
  package var deleted = Amount()
}

/// Looks through all blobs and deletes what nothing needs any more.
///
/// A blob that nothing refers to is deleted only when it was stored longer ago than the grace
/// period. Whoever is about to refer to a blob stores it first, or marks it as new where it was
/// there already, so that no row ever names a blob that a sweep takes away.
package struct StorageSweep: Sendable {
  private let folder: DataFolder
  private let retention: BlobRetention

  private static let slice = 200

  package init(folder: DataFolder, retention: BlobRetention) {
    self.folder = folder
    self.retention = retention
  }

  /// - Parameters:
  ///   - deletes: false to look only.
  ///   - now: the time that the coordinator goes by.
  ///   - calendar: what the system's clock says, of which files carry the time; nil: `now`. While
  ///     it is behind, what is stored looks as much older, and is spared as much longer.
  package func run(
    deletes: Bool, now: Timestamp, calendar: Timestamp? = nil
  ) async throws -> StorageReport {
    var terms = Terms(
      deletes: deletes, retention: retention,
      clockSetAt: try await folder.store.keptClock()?.setAt, now: now)
    terms.retention.graceSeconds += max(0, Int(now.seconds(since: calendar ?? now)))
    if deletes { try await folder.blobs.restoreInterrupted() }
    var report = StorageReport()
    for shard in 0..<FolderBlobStore.shards {
      try Task.checkCancellation()
      var rest = try await folder.blobs.list(shard: shard)[...]
      while !rest.isEmpty {
        let slice = rest.prefix(Self.slice)
        rest = rest.dropFirst(Self.slice)
        try await judge(Array(slice), terms, &report)
      }
    }
    return report
  }

  /// By what one sweep judges.
  private struct Terms {
    var deletes: Bool
    var retention: BlobRetention
    var clockSetAt: Timestamp?
    var now: Timestamp
  }

  private func judge(
    _ blobs: [BlobListing], _ terms: Terms, _ report: inout StorageReport
  ) async throws {
    let uses = try await folder.store.uses(of: blobs.map(\.digest), now: terms.now)
    let kinds = blobs.map { blob in
      terms.retention.kind(
        uses: uses[blob.digest] ?? [], writtenAt: blob.writtenAt, clockSetAt: terms.clockSetAt,
        now: terms.now)
    }
    let unused = zip(blobs, kinds).filter { $1 == .unused }.map(\.0.digest)
    if terms.deletes, !unused.isEmpty {
      // Before the blobs go: what a crash leaves is a blob that nobody counts, and the next
      // sweep's.
      try await folder.store.forgetUnused(unused, now: terms.now)
    }
    for (blob, kind) in zip(blobs, kinds) {
      if terms.deletes, kind == .unused,
        try await folder.blobs.remove(
          blob.digest, unlessWrittenSince: terms.retention.youngest(now: terms.now))
      {
        report.deleted.add(blob)
      } else {
        report.kinds[kind, default: .init()].add(blob)
      }
    }
  }
}

/// Sweeps now and then.
struct SweepService: Service {
  let sweep: StorageSweep
  let sweepSeconds: Int
  let clock: SteadyClock
  let logger: Logger

  func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        do {
          // Files carry the calendar's time, so their age is unknown after that jumped.
          guard clock.jumpSeconds == nil else {
            try await Task.sleep(for: .seconds(60))
            continue
          }
          let deleted = try await sweep.run(deletes: true, now: clock.now()).deleted
          if deleted.blobs > 0 {
            logger.info(
              "unused blobs deleted",
              metadata: ["blobs": "\(deleted.blobs)", "bytes": "\(deleted.bytes)"])
          }
        } catch is CancellationError {
          return
        } catch {
          logger.error("sweep failed", metadata: ["error": "\(error)"])
        }
        try? await Task.sleep(for: .seconds(sweepSeconds))
      }
    }
  }
}

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
/// A blob that nothing refers to is deleted only when it was stored longer ago than the grace period.
/// Whoever is about to refer to a blob stores it first, or marks it as new where it was there
/// already, so that no row ever names a blob that a sweep takes away.
package struct StorageSweep: Sendable {
  private let folder: DataFolder
  private let retention: BlobRetention

  private static let slice = 200

  package init(folder: DataFolder, retention: BlobRetention) {
    self.folder = folder
    self.retention = retention
  }

  /// - Parameter deletes: false to look only.
  package func run(deletes: Bool, now: Timestamp) async throws -> StorageReport {
    if deletes { try await folder.blobs.restoreInterrupted() }
    var report = StorageReport()
    for shard in 0..<FolderBlobStore.shards {
      try Task.checkCancellation()
      var rest = try await folder.blobs.list(shard: shard)[...]
      while !rest.isEmpty {
        let slice = rest.prefix(Self.slice)
        rest = rest.dropFirst(Self.slice)
        try await judge(Array(slice), deletes: deletes, now: now, &report)
      }
    }
    return report
  }

  private func judge(
    _ blobs: [BlobListing], deletes: Bool, now: Timestamp, _ report: inout StorageReport
  ) async throws {
    let uses = try await folder.store.uses(of: blobs.map(\.digest), now: now)
    let kinds = blobs.map { blob in
      retention.kind(uses: uses[blob.digest] ?? [], writtenAt: blob.writtenAt, now: now)
    }
    let unused = zip(blobs, kinds).filter { $1 == .unused }.map(\.0.digest)
    if deletes, !unused.isEmpty {
      // Before the blobs go: what a crash leaves is a blob that nobody counts, and the next sweep's.
      try await folder.store.forgetUnused(unused, now: now)
    }
    for (blob, kind) in zip(blobs, kinds) {
      if deletes, kind == .unused,
        try await folder.blobs.remove(
          blob.digest, unlessWrittenSince: retention.youngest(now: now))
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

import Foundation
import WireProtocol
import WorkerCore

/// The held units on disk, a file each: from the moment a unit's blobs are fetched until it has a
/// result or is not held any more.
struct CheckpointStore: Sendable {
  let folder: String
  private static let suffix = ".checkpoint"
  /// Bytes of the largest file that is read back.
  private static let limitBytes = 1 << 30

  /// Names the lease and the unit.
  private func path(_ lease: String, _ unit: Digest) -> String {
    "\(folder)/\(lease)-\(unit.hex)\(Self.suffix)"
  }

  /// What earlier runs of the worker held. Whatever is no checkpoint is removed.
  func list() throws -> [StoredUnit] {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    return try names.compactMap { name in
      guard let (lease, unit) = Self.parts(of: name),
        let file = try? load(lease, unit)
      else {
        try DurableFile.remove("\(folder)/\(name)")
        return nil
      }
      return StoredUnit(lease: file.lease, fruitlessStarts: file.fruitlessStarts)
    }
  }

  private static func parts(of name: String) -> (lease: String, unit: Digest)? {
    guard name.hasSuffix(suffix) else { return nil }
    let parts = name.dropLast(suffix.count).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, ResultStore.isLeaseID(String(parts[0])),
      let unit = Digest(hex: String(parts[1]))
    else { return nil }
    return (String(parts[0]), unit)
  }

  private func load(_ lease: String, _ unit: Digest) throws -> CheckpointFile? {
    try DurableFile.read(path(lease, unit), limitBytes: Self.limitBytes)
      .flatMap { CheckpointFile($0, lease: lease, unit: unit) }
  }

  /// Stores the lease, unless it is.
  func begin(_ lease: Lease) throws {
    if (try? load(lease.id, lease.unit)) != nil { return }
    let record = try CheckpointFile.record(
      .leased(lease), at: 0, lease: lease.id, unit: lease.unit)
    try DurableFile.write([record], to: path(lease.id, lease.unit))
  }

  /// Notes that a run of the unit begins; returns what to note its progress with, and what earlier
  /// runs left.
  func start(
    _ lease: Lease, every interval: Duration, clock: WorkerClock,
    failed: @escaping @Sendable (any Error) -> Void
  ) throws -> Checkpoint {
    try begin(lease)
    guard let file = try load(lease.id, lease.unit) else {
      throw FileError(doing: "reading", path: path(lease.id, lease.unit), reason: "missing")
    }
    let checkpoint = Checkpoint(
      file, path: path(lease.id, lease.unit), interval: interval, clock: clock, failed: failed)
    try checkpoint.noteStart()
    return checkpoint
  }

  func remove(_ lease: Lease) throws { try DurableFile.remove(path(lease.id, lease.unit)) }
}

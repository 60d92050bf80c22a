import CoordinatorCore
import CoordinatorStore
import Foundation
import Synchronization
import TestSupport
import Testing

extension Lots {
  /// The lot falls on nothing, except for what is certain.
  static let never = Lots { .max }
  static let always = Lots { 0 }

  /// The draws given, one after the other, as parts of 1; then the lot falls on nothing.
  static func drawn(_ draws: [Double]) -> Lots {
    let left = Mutex(draws)
    return Lots {
      left.withLock { $0.isEmpty ? .max : UInt64($0.removeFirst() * 0x1p53) << 11 }
    }
  }
}

/// The stores that the contract suite runs over. Another store joins this list and passes the same
/// tests.
enum StoreKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
  /// A fleet whose rows are in memory.
  case memory
  /// A fleet whose rows are in a SQLite file.
  case file
  /// A SQLite file whose transactions decide.
  case transactions

  var testDescription: String { rawValue }

  /// Runs a test against a new, empty store of this kind.
  func withLaboratory(
    policy: CoordinatorPolicy = CoordinatorPolicy(), lots: Lots = .never,
    _ body: (Laboratory) async throws -> Void
  ) async throws {
    if self == .memory {
      let blobs = MemoryBlobStore()
      let store = FleetStore.inMemory(blobs: blobs, policy: policy, lots: lots)
      return try await body(try await Laboratory(store, blobs))
    }
    let folder = try TemporaryFolder()
    let blobs = try FolderBlobStore(folder: folder.url.appendingPathComponent("blobs"))
    let path = folder.url.appendingPathComponent("coordinator.sqlite").path
    if self == .file {
      let storage = try SQLiteStorage.open(path: path, blobs: blobs)
      let store = FleetStore(storage: storage, policy: policy, lots: lots)
      try await body(try await Laboratory(store, blobs))
      try storage.close()
    } else {
      let store = try SQLiteStore.open(path: path, blobs: blobs, policy: policy, lots: lots)
      try await body(try await Laboratory(store, blobs))
      try store.close()
    }
  }
}

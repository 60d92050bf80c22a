import CoordinatorCore
import CoordinatorStore
import Foundation
import TestSupport
import Testing

/// The stores that the contract suite runs over. Another store joins this list and passes the same
/// tests.
enum StoreKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case memory
  case file

  var testDescription: String { rawValue }

  /// Runs a test against a new, empty store of this kind.
  func withLaboratory(
    policy: CoordinatorPolicy = CoordinatorPolicy(),
    _ body: (Laboratory) async throws -> Void
  ) async throws {
    switch self {
    case .memory:
      let blobs = MemoryBlobStore()
      try await body(
        try await Laboratory(try SQLiteStore.inMemory(blobs: blobs, policy: policy), blobs))
    case .file:
      let folder = try TemporaryFolder()
      let blobs = try FolderBlobStore(folder: folder.url.appendingPathComponent("blobs"))
      let store = try SQLiteStore.open(
        path: folder.url.appendingPathComponent("coordinator.sqlite").path, blobs: blobs,
        policy: policy)
      try await body(try await Laboratory(store, blobs))
      try store.close()
    }
  }
}

import Execution
import Foundation
import Kernels
import WirePayloads
import WireProtocol

/// A blob with its size.
package struct BlobReference: Hashable, Sendable {
  package var digest: Digest
  package var bytes: Int

  package init(digest: Digest, bytes: Int) {
    self.digest = digest
    self.bytes = bytes
  }
}

/// A unit whose blobs are all on disk and checked, and how to hear of it while it runs.
package struct UnitTask: Sendable {
  package var specification: UnitSpecification
  /// The bytes of the model's manifest.
  package var manifest: Data
  /// The bytes of the unit's inputs.
  package var inputs: Data
  /// The bytes of the model's `VocabularyBytes`, where the specification names one.
  package var vocabulary: Data?
  /// The bytes of the adapter, where the specification names one.
  package var adapter: Data?
  /// Where the file of a checked blob is.
  package var blobPath: @Sendable (Digest) -> String
  /// Where the packed model is or may be made; nil where there is no room for it.
  package var packedPath: String?
  /// Threads to compute with.
  package var threads: Int
  /// Bytes of weights, cache and scratch together.
  package var memoryLimitBytes: Int
  /// What interrupted runs of this unit have finished; it need not be computed again.
  package var finishedBefore: [FinishedSequences] = []
  /// Told each sequence that ends, with its place among the unit's, on the computing thread.
  package var sequenceFinished: @Sendable (Int, GenerateResult.Sequence) -> Void = { _, _ in }
  /// Told the tokens that each pass gave, on the computing thread.
  package var tokensGenerated: @Sendable (Int) -> Void = { _ in }
  /// Told the floating-point operations done so far, every now and then, on the computing thread.
  package var progress: @Sendable (Double) -> Void
  /// Asked often; the unit throws `UnitFailure.cancelled` soon after it turned true.
  package var isCancelled: @Sendable () -> Bool

  package init(
    specification: UnitSpecification, manifest: Data, inputs: Data, vocabulary: Data?,
    blobPath: @escaping @Sendable (Digest) -> String, packedPath: String? = nil, threads: Int,
    memoryLimitBytes: Int,
    progress: @escaping @Sendable (Double) -> Void, isCancelled: @escaping @Sendable () -> Bool
  ) {
    self.specification = specification
    self.manifest = manifest
    self.inputs = inputs
    self.vocabulary = vocabulary
    self.blobPath = blobPath
    self.packedPath = packedPath
    self.threads = threads
    self.memoryLimitBytes = memoryLimitBytes
    self.progress = progress
    self.isCancelled = isCancelled
  }
}

/// What a unit gave.
package typealias UnitOutcome = Execution.UnitOutcome

/// Sequences of a unit that ended before the unit did, as they are kept on disk.
package typealias FinishedSequences = Execution.FinishedSequences

/// Why a unit gave no result.
package enum UnitFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// It was told to stop.
  case cancelled
  /// Its inputs or its model make no sense to this program.
  case invalid(String)
  /// It needs more memory than the worker offers.
  case outOfMemory(String)
  /// Anything else.
  case failed(String)

  package var description: String {
    switch self {
    case .cancelled: "the unit was told to stop"
    case .invalid(let detail), .outOfMemory(let detail), .failed(let detail): detail
    }
  }
}

/// Computes units. The daemon calls it from a thread of its own, one unit at a time.
package protocol UnitRunning: Sendable {
  /// The chunks of a model's manifest that a part needs, nil standing for all of the model; throws
  /// when the bytes are no manifest, or of a model without such a part.
  func chunks(ofManifest manifest: Data, part: UnitPart?) throws -> [BlobReference]

  /// The file that would spare packing a model again: a name that stands for its content, and its
  /// size. Nil when there is none. Throws when the bytes are no manifest.
  func packedModel(
    ofManifest manifest: Data, digest: Digest, part: UnitPart?
  ) throws -> BlobReference?

  /// Computes a unit and returns when it is done; throws `UnitFailure`.
  func run(_ task: UnitTask) throws -> UnitOutcome

  /// Holds the running unit and those that follow to a limit, within a fraction of a second. A unit
  /// that is held still can be cancelled.
  func limit(_ limit: ComputeLimit)

  /// Lets go of what is kept for units to come; a running unit keeps what it needs until it ends.
  func releaseMemory()
}

/// How much a worker's units may compute.
package typealias ComputeLimit = ComputeGate.Limit

extension UnitRunning {
  /// Nothing to hold.
  package func limit(_ limit: ComputeLimit) {}

  /// Nothing is kept.
  package func releaseMemory() {}

  /// None.
  package func packedModel(
    ofManifest manifest: Data, digest: Digest, part: UnitPart?
  ) throws -> BlobReference? { nil }
}

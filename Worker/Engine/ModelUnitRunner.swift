import Execution
import Foundation
import Kernels
import ModelFormats
import Models
import WirePayloads
import WireProtocol

/// Computes units with the processor of this machine.
package final class ModelUnitRunner: UnitRunning {
  private let runner: UnitRunner

  /// - Parameter environment: `TALLY_CPU` forces an instruction set.
  /// - Throws: `KernelError` for an instruction set that this machine cannot run.
  package init(environment: [String: String]) throws {
    runner = UnitRunner(try CPUEngine(environment: environment))
  }

  /// Throws `FormatError` for what is no manifest, `UnitFailure.invalid` for a part that its model
  /// does not have.
  package func chunks(ofManifest manifest: Data, part: UnitPart?) throws -> [BlobReference] {
    let manifest = try ModelManifest(json: manifest, name: "manifest")
    return try manifest.distinctChunks(of: Self.part(part, of: manifest)).map { chunk in
      guard let digest = Digest(hex: chunk.sha256) else {
        throw Self.failure(ExecutionError.chunkNameMalformed)
      }
      return BlobReference(digest: digest, bytes: chunk.bytes)
    }
  }

  /// The packed file, named by its key.
  package func packedModel(
    ofManifest manifest: Data, digest: Digest, part: UnitPart?
  ) throws -> BlobReference? {
    // Its size follows from the manifest: no chunk is read.
    let model = StoredModel(digest, manifest: manifest, verifiesChunks: false) { $0.hex }
    let source = try model.source()
    guard let name = Digest(hex: model.packedKey(part).hex) else { return nil }
    return BlobReference(
      digest: name,
      bytes: try PackedModelFile.largestByteCount(
        source.manifest.description, part: Self.part(part, of: source.manifest), from: source))
  }

  package func run(_ task: UnitTask) throws -> UnitOutcome {
    do {
      return try runner.run(
        task.work, on: .store(task.model), within: .limit(bytes: task.memoryLimitBytes))
    } catch {
      throw Self.failure(error)
    }
  }

  package func limit(_ limit: ComputeLimit) { runner.limit(limit) }

  /// Forgets the last unit's model, which the next unit loads again.
  package func releaseMemory() { runner.releaseMemory() }

  private static func part(_ part: UnitPart?, of manifest: ModelManifest) throws -> ModelPart {
    do {
      return try ModelPart(part, of: manifest.description)
    } catch {
      throw failure(error)
    }
  }

  /// Which failure of a unit an error is.
  private static func failure(_ error: any Error) -> UnitFailure {
    switch error {
    case let failure as UnitFailure: failure
    case ExecutionError.cancelled: .cancelled
    case ExecutionError.outOfMemory(let detail): .outOfMemory(detail)
    case let error as KernelError where error.code == .outOfResources:
      .outOfMemory("\(error)")
    // A file that this machine cannot read says nothing of the unit.
    case let error as FormatError where error.code == .unreadable: .failed("\(error)")
    case is ExecutionError, is ForwardError, is PayloadError, is FormatError, is KernelError:
      .invalid("\(error)")
    default: .failed("\(error)")
    }
  }
}

extension UnitTask {
  fileprivate var model: StoredModel {
    // Blobs were hashed when they came, and at their first use after a start.
    StoredModel(
      specification.model, manifest: manifest, verifiesChunks: false, packedPath: packedPath,
      chunkPath: blobPath)
  }

  fileprivate var work: UnitWork {
    var work = UnitWork(
      specification, inputs: inputs, vocabulary: vocabulary, adapter: adapter, threads: threads)
    work.finishedBefore = finishedBefore
    work.sequenceFinished = sequenceFinished
    work.tokensGenerated = tokensGenerated
    work.progress = { [progress] flops, _ in progress(flops) }
    work.isCancelled = isCancelled
    return work
  }
}

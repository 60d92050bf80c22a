import Kernels
import Synchronization
import WirePayloads
import WireProtocol

/// Runs units from their specification and blobs to the bytes of their result: what worker,
/// coordinator, `tally audit` and `tally prove` call. One unit at a time.
///
/// The model of the last unit stays loaded, since the next unit is most often of the same. It is
/// let go before another is loaded: two models would need the memory of both.
package final class UnitRunner: Sendable {
  private struct Kept: Sendable {
    let digest: Digest
    let part: UnitPart?
    let model: any LoadedModel
  }

  private let engine: any UnitEngine
  private let kept = Mutex<Kept?>(nil)

  package init(_ engine: any UnitEngine) { self.engine = engine }

  /// Computes a unit; blocks until it is done.
  ///
  /// - Parameters:
  ///   - origin: the model that the specification names; is read only if it has to be loaded.
  ///   - memory: for the weights and all else together.
  /// - Throws: `ExecutionError` (`cancelled` among them); `MemoryShortage`; `FormatError`,
  ///   `PayloadError` and `ForwardError` for blobs that make no sense or do not fit the model;
  ///   `KernelError`.
  package func run(
    _ work: UnitWork, on origin: ModelOrigin, within memory: MemoryAllowance
  ) throws -> UnitOutcome {
    let content = try UnitContent(work)
    return try model(work.specification, origin, memory).run(work, content, within: memory)
  }

  /// Holds the running unit and those that follow to a limit, within a fraction of a second. A unit
  /// that is held still can be cancelled.
  package func limit(_ limit: ComputeGate.Limit) { engine.limit(limit) }

  /// Lets the last unit's model go, which the next unit loads again; a running unit keeps what it
  /// needs until it ends.
  package func releaseMemory() { kept.withLock { $0 = nil } }

  private func model(
    _ specification: UnitSpecification, _ origin: ModelOrigin, _ memory: MemoryAllowance
  ) throws -> any LoadedModel {
    let (digest, part) = (specification.model, specification.part)
    if let kept = kept.withLock({ $0 }), kept.digest == digest, kept.part == part {
      return kept.model
    }
    releaseMemory()
    let model = try engine.load(origin, part: part, within: memory)
    kept.withLock { $0 = Kept(digest: digest, part: part, model: model) }
    return model
  }
}

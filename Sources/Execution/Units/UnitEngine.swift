import Kernels
import Models
import WireProtocol

/// Loads models and holds what they compute to limits: all that `UnitRunner` knows of a processor.
///
/// Whatever the processor, a unit's result has the same bytes.
package protocol UnitEngine: Sendable {
  /// Loads a model.
  ///
  /// - Parameters:
  ///   - part: nil: all of the model.
  ///   - memory: what the weights may take, of it.
  /// - Throws: `ExecutionError.outOfMemory` and `MemoryShortage` for weights that `memory` refuses;
  ///   `ExecutionError` for a part that the model lacks; `FormatError` for bytes that are no model;
  ///   `KernelError`.
  func load(
    _ origin: ModelOrigin, part: UnitPart?, within memory: MemoryAllowance
  ) throws -> any LoadedModel

  /// Holds the running unit and those that follow to a limit, within a fraction of a second. A unit
  /// that is held still can be cancelled.
  func limit(_ limit: ComputeGate.Limit)
}

/// A model, or a part of one, that an engine holds in memory. It runs one unit at a time.
package protocol LoadedModel: AnyObject, Sendable {
  /// Computes a unit; blocks until it is done.
  ///
  /// - Parameters:
  ///   - content: what the unit's blobs hold.
  ///   - memory: for the weights and all else together.
  /// - Throws: `ExecutionError` (`cancelled` among them); `MemoryShortage`; `ForwardError`,
  ///   `PayloadError` and `FormatError` for blobs that do not fit the model; `KernelError`.
  func run(
    _ work: UnitWork, _ content: UnitContent, within memory: MemoryAllowance
  ) throws -> UnitOutcome
}

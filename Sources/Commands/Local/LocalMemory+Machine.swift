import Execution
import MachineLimits
import ModelFormats
import Models

extension LocalMemory {
  /// What is available at this moment: asked before weights are loaded, which would count twice.
  static func now() -> LocalMemory {
    LocalMemory(availableBytes: SystemMemory.reportedAvailableBytes())
  }

  /// The model with all weights in memory, once it is known that they fit.
  ///
  /// - Throws: `MemoryShortage`; as `Model(_:from:options:)`.
  func load(
    _ description: ModelDescription, from source: any TensorSource,
    options: Model.LoadOptions = .init()
  ) throws -> Model {
    try check(
      weightBytes: PackedModelFile.leastByteCount(description, from: source, options: options))
    return try Model(description, from: source, options: options)
  }
}

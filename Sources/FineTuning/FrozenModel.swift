import Kernels
import Models

/// A model that adapters are trained over: its weights, and their transposes for the way back. Takes a
/// while to make, and any number of trainers may share it.
package final class FrozenModel: Sendable {
  package let dense: DenseModel
  /// Of each layer's four groups of matrices that take the same input.
  let groups: [[PackedWeights]]
  /// Of the output matrix.
  let head: PackedWeights

  /// Which matrices take the same input.
  static let groupKinds: [[LinearKind]] = [[.query, .key, .value], [.output], [.gate, .up], [.down]]

  /// - Throws: `FormatError.unsupported` for a model that cannot be trained over;
  ///   `KernelError.outOfResources`.
  package init(_ model: Model) throws {
    let dense = try DenseModel(model)
    self.dense = dense
    groups = try dense.layers.map { layer in
      try Self.groupKinds.map { kinds in
        try TransposedWeights.make(kinds.map { layer.linear($0).weights })
      }
    }
    head = try TransposedWeights.make([dense.head.weights])
  }

  /// Bytes that the transposes of a model take.
  ///
  /// - Throws: `KernelError.invalidWeights` for impossible dimensions.
  package static func transposeBytes(_ dense: DenseModel) throws -> Int {
    try dense.layers.reduce(try TransposedWeights.byteCount([dense.head.weights])) { sum, layer in
      try groupKinds.reduce(sum) { sum, kinds in
        try sum + TransposedWeights.byteCount(kinds.map { layer.linear($0).weights })
      }
    }
  }
}

import Kernels
import Models

/// A model that adapters are trained over: its weights, and their transposes for the way back.
/// Takes a while to make, and any number of trainers may share it.
package final class FrozenModel: Sendable {
  package let dense: DenseModel
  /// Of each layer's four groups of matrices that take the same input.
  let groups: [[PackedWeights]]
  /// Of the output matrix.
  let head: PackedWeights
  /// Of the matrices of each layer's per-layer input.
  let perLayer: [PerLayer?]

  struct PerLayer: Sendable {
    let gate: PackedWeights
    let projection: PackedWeights
  }

  /// Which matrices of a layer take the same input.
  static func groupKinds(_ layer: DenseModel.Layer) -> [[LinearKind]] {
    [[LinearKind.query, .key, .value], [.output], [.gate, .up], [.down]].map { kinds in
      kinds.filter { layer.linear($0) != nil }
    }
  }

  /// - Throws: `FormatError.unsupported` for a model that cannot be trained over;
  ///   `KernelError.outOfResources`.
  package init(_ model: Model) throws {
    let dense = try DenseModel(model)
    self.dense = dense
    groups = try dense.layers.map { layer in
      try Self.groupKinds(layer).map { kinds in
        try TransposedWeights.make(kinds.compactMap { layer.linear($0)?.weights })
      }
    }
    perLayer = try dense.layers.map { layer in
      try layer.perLayerInput.map { input in
        PerLayer(
          gate: try TransposedWeights.make([input.gate.weights]),
          projection: try TransposedWeights.make([input.projection.weights]))
      }
    }
    head = try TransposedWeights.make([dense.head.weights])
  }

  /// Bytes that the transposes of a model take.
  ///
  /// - Throws: `KernelError.invalidWeights` for impossible dimensions.
  package static func transposeBytes(_ dense: DenseModel) throws -> Int {
    try dense.layers.reduce(try TransposedWeights.byteCount([dense.head.weights])) { sum, layer in
      let own = [layer.perLayerInput?.gate, layer.perLayerInput?.projection].compactMap(\.self)
      let matrices = groupKinds(layer).map { $0.compactMap { layer.linear($0)?.weights } }
        + own.map { [$0.weights] }
      return try matrices.reduce(sum) { try $0 + TransposedWeights.byteCount($1) }
    }
  }
}

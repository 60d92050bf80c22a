import Kernels
import Models

/// Whole sequences that go through the layers together, one below the other.
final class TrainingPass {
  let space: Workspace
  let tokens: [Int32]
  /// The rows of each sequence.
  let sequences: [Range<Int>]
  /// Of each row within its sequence.
  let positions: [Int32]
  let ropes: [RopeTable]
  let inverseRopes: [RopeTable]
  /// Per-layer inputs of the rows [rows, layers * P]; nil of models without.
  var perLayerInputs: Tensor?
  private var caches: [(layer: CacheLayer, source: Int?, rows: [SequenceRows])] = []
  private var shared: [Int: SharedRows] = [:]

  /// Keys and values of a layer that later ones read, as they met, and the gradients that those
  /// give.
  final class SharedRows {
    let keys: Tensor
    let values: Tensor
    let keysGradient: Tensor
    let valuesGradient: Tensor

    fileprivate init(_ keys: Tensor, _ values: Tensor) throws {
      self.keys = try Tensor(rows: keys.rows, columns: keys.columns)
      self.values = try Tensor(rows: values.rows, columns: values.columns)
      keysGradient = try .zeros(like: keys)
      valuesGradient = try .zeros(like: values)
    }
  }

  /// - Parameters:
  ///   - sequences: of at least one token each.
  ///   - ropes: for every position of theirs.
  ///   - inverseRopes: the same the other way.
  init(
    _ sequences: [[Int32]], ropes: [RopeTable], inverseRopes: [RopeTable], _ space: Workspace
  ) {
    (self.ropes, self.inverseRopes) = (ropes, inverseRopes)
    self.space = space
    tokens = sequences.flatMap(\.self)
    var start = 0
    self.sequences = sequences.map { sequence in
      defer { start += sequence.count }
      return start..<start + sequence.count
    }
    positions = sequences.flatMap { $0.indices.map { Int32($0) } }
  }

  /// Keeps what later layers read of a layer.
  func share(_ keys: Tensor, _ values: Tensor, of layer: Int) throws {
    let rows = try shared[layer] ?? SharedRows(keys, values)
    shared[layer] = rows
    try space.compute.copy(keys, to: rows.keys)
    try space.compute.copy(values, to: rows.values)
  }

  func sharedRows(of layer: Int) -> SharedRows? { shared[layer] }

  /// Caches in float32 for the keys and values of a layer. Layers of the same shape share them, one
  /// after the other.
  ///
  /// - Parameter source: a layer that later ones read, which has caches of its own.
  func caches(
    for attention: ModelDescription.Attention, source: Int?
  ) throws -> [SequenceRows] {
    let layer = CacheLayer(
      heads: attention.keyValueHeads, keyDimension: attention.keyDimension,
      valueDimension: attention.valueDimension)
    if let found = caches.first(where: { $0.layer == layer && $0.source == source }) {
      return found.rows
    }
    let rows = try sequences.map { rows in
      let cache = KeyValueCache(layers: [layer], element: .f32)
      try cache.prepare(0..<rows.count)
      return SequenceRows(cache: cache, rows: rows, startPosition: 0)
    }
    caches.append((layer, source, rows))
    return rows
  }
}

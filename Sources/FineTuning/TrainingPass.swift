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
  private var caches: [(layer: CacheLayer, rows: [SequenceRows])] = []

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

  /// Caches in float32 for the keys and values of a layer. Layers of the same shape share them, one
  /// after the other.
  func caches(for attention: ModelDescription.Attention) throws -> [SequenceRows] {
    let layer = CacheLayer(
      heads: attention.keyValueHeads, keyDimension: attention.keyDimension,
      valueDimension: attention.valueDimension)
    if let found = caches.first(where: { $0.layer == layer }) { return found.rows }
    let rows = try sequences.map { rows in
      let cache = KeyValueCache(layers: [layer], element: .f32)
      try cache.prepare(0..<rows.count)
      return SequenceRows(cache: cache, rows: rows, startPosition: 0)
    }
    caches.append((layer, rows))
    return rows
  }
}

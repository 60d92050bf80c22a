/// Consecutive layers of a model, with the embedding before the first and the head after the last
/// as stages of their own: what a `stage_forward` unit runs.
///
/// A worker fetches the tensors of these layers and nothing else, so that a model which is larger
/// than any worker can be run by several.
package struct UnitPart: Codable, Hashable, Sendable {
  /// Begins with tokens; only before layer 0.
  package var embedding: Bool
  /// The first layer, from 0.
  package var firstLayer: Int
  /// The layer after the last.
  package var endLayer: Int
  /// Ends with log-probabilities; only after the last layer.
  package var head: Bool

  package init(embedding: Bool, layers: Range<Int>, head: Bool) {
    self.embedding = embedding
    firstLayer = layers.lowerBound
    endLayer = layers.upperBound
    self.head = head
  }

  /// Whether a model of `layerCount` layers has such a part, and it computes something.
  package func fits(layerCount: Int) -> Bool {
    firstLayer >= 0 && firstLayer <= endLayer && endLayer <= layerCount
      && (!embedding || firstLayer == 0) && (!head || endLayer == layerCount)
      && (embedding || head || firstLayer < endLayer)
  }
}

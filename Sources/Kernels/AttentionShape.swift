/// Consecutive rows of a step that belong to one sequence.
package struct SequenceRows {
  package let cache: KeyValueCache
  /// Rows of the step's tensors.
  package let rows: Range<Int>
  /// The position of the first of them.
  package let startPosition: Int

  package init(cache: KeyValueCache, rows: Range<Int>, startPosition: Int) {
    precondition(startPosition >= 0 && rows.lowerBound >= 0)
    self.cache = cache
    self.rows = rows
    self.startPosition = startPosition
  }
}

/// Grouped-query attention of one layer.
package struct AttentionShape: Sendable, Equatable {
  /// H: query heads, a multiple of the layer's key/value heads.
  package var heads: Int
  /// Multiplies scores, usually 1/sqrt(key dimension).
  package var scale: Float
  /// Keys that a query sees, itself included; nil: all before it.
  package var window: Int?
  /// Scores become `cap * tanh(score / cap)` (Gemma 2); nil: as they are.
  package var cap: Float?
  /// A logit for each query head that joins the sum of exponentials without a value (gpt-oss);
  /// empty: none.
  package var sinks: [Float]

  package init(
    heads: Int, scale: Float, window: Int? = nil, cap: Float? = nil, sinks: [Float] = []
  ) {
    precondition(heads > 0 && (window ?? 1) > 0)
    precondition((cap ?? 1) > 0 && (sinks.isEmpty || sinks.count == heads))
    self.heads = heads
    self.scale = scale
    self.window = window
    self.cap = cap
    self.sinks = sinks
  }
}

/// Queries [rows, H * E], keys [rows, K * E] and values [rows, K * value dimension] of a step's
/// rows, and what becomes of their heads before they meet: normalised where a norm is given, then
/// (queries and keys) rotated where there is a rope.
package struct AttentionRows {
  /// Normalised and rotated in place.
  package var queries: Tensor
  /// Normalised and rotated in place; nil where the cache has them already.
  package var keys: Tensor?
  /// May be those of `keys`: then they are what keys are before their norm.
  package var values: Tensor?
  /// Over each query head; its weight has E values.
  package var queryNorm: RowNorm?
  /// Over each key head.
  package var keyNorm: RowNorm?
  /// Over each value head.
  package var valueNorm: RowNorm?
  /// Multiplies values, after their norm.
  package var valueScale: Float?
  package var rope: HeadRope?
  /// What queries are multiplied with at the end; nil: nothing.
  package var queryGrowth: QueryGrowth?

  package init(
    queries: Tensor, keys: Tensor?, values: Tensor?, queryNorm: RowNorm? = nil,
    keyNorm: RowNorm? = nil, valueNorm: RowNorm? = nil, valueScale: Float? = nil,
    rope: HeadRope? = nil, queryGrowth: QueryGrowth? = nil
  ) {
    precondition((keys == nil) == (values == nil))
    (self.queries, self.keys, self.values) = (queries, keys, values)
    (self.queryNorm, self.keyNorm, self.valueNorm) = (queryNorm, keyNorm, valueNorm)
    (self.valueScale, self.rope, self.queryGrowth) = (valueScale, rope, queryGrowth)
  }
}

/// A rotation of heads.
package struct HeadRope: Sendable {
  /// Holds every position of the step.
  package var table: RopeTable
  /// Pairs are neighbours (GGUF's Llama); else halves (transformers).
  package var isInterleaved: Bool

  package init(table: RopeTable, isInterleaved: Bool) {
    self.table = table
    self.isInterleaved = isInterleaved
  }
}

/// Queries at position p are multiplied with 1 + beta log(1 + floor(p / length)), which is computed
/// in double arithmetic and rounded once.
package struct QueryGrowth: Sendable {
  package var beta: Double
  package var length: Double

  package init(beta: Double, length: Double) {
    precondition(length > 0)
    (self.beta, self.length) = (beta, length)
  }

  /// What a query at `position` is multiplied with.
  package func factor(at position: Int) -> Float {
    Float(1 + beta * ExactMath.log(1 + (Double(position) / length).rounded(.down)))
  }
}

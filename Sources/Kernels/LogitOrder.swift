/// The ids of a row by falling logit, equal ones by rising id, found one at a time.
///
/// Few are ever asked for, so the likeliest are sorted out first by a threshold and only they are
/// put into a heap; the rest follow when those are used up.
package struct LogitOrder {
  private let row: UnsafeMutableBufferPointer<Float>
  private var heap: [Int] = []
  /// Ids at or above this logit have been put into the heap.
  private var threshold: Float = .infinity
  private let maximum: Float
  private var remaining: Int

  /// - Parameter row: every value finite; only read, and alive as long as this value is used.
  package init(_ row: UnsafeMutableBufferPointer<Float>) {
    self.row = row
    maximum = row.isEmpty ? 0 : row[Logits.argMax(row)]
    remaining = row.count
  }

  /// The next id; nil after the last.
  package mutating func next() -> Int? {
    if heap.isEmpty, remaining > 0 { refill() }
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink(0)
    }
    return first
  }

  /// First what lies within 8 of the maximum, then everything.
  private mutating func refill() {
    let lower = threshold == .infinity ? maximum - 8 : -.infinity
    for id in row.indices where row[id] >= lower && row[id] < threshold { heap.append(id) }
    remaining -= heap.count
    threshold = lower
    for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { sink(index) }
  }

  private func precedes(_ a: Int, _ b: Int) -> Bool {
    row[a] != row[b] ? row[a] > row[b] : a < b
  }

  private mutating func sink(_ start: Int) {
    var index = start
    while true {
      var best = 2 * index + 1
      guard best < heap.count else { return }
      if best + 1 < heap.count, precedes(heap[best + 1], heap[best]) { best += 1 }
      guard precedes(heap[best], heap[index]) else { return }
      heap.swapAt(best, index)
      index = best
    }
  }
}

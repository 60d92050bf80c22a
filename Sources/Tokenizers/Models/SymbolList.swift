/// A doubly linked list of token ids in arrays; -1 ends it on both sides.
struct SymbolList {
  private(set) var ids: [UInt32]
  private(set) var next: [Int32]
  private(set) var previous: [Int32]

  /// - Parameter symbols: fewer than 2^31.
  init(_ symbols: [UInt32]) {
    ids = symbols
    next = symbols.indices.map { $0 + 1 < symbols.count ? Int32($0 + 1) : -1 }
    previous = symbols.indices.map { Int32($0) - 1 }
  }

  /// Replaces a symbol and the one after it, which must exist, by one.
  mutating func merge(_ left: Int, into id: UInt32) {
    let right = Int(next[left])
    ids[left] = id
    next[left] = next[right]
    if next[right] >= 0 { previous[Int(next[right])] = Int32(left) }
    next[right] = -1
  }

  /// The first symbol is never merged away, so the list starts at 0.
  func append(to result: inout [UInt32]) {
    var index = ids.isEmpty ? -1 : 0
    while index >= 0 {
      result.append(ids[index])
      index = Int(next[index])
    }
  }
}

/// A binary heap that gives the smallest element first.
struct MinHeap {
  private var elements: [UInt64] = []

  mutating func push(_ element: UInt64) {
    elements.append(element)
    var child = elements.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard elements[child] < elements[parent] else { return }
      elements.swapAt(child, parent)
      child = parent
    }
  }

  mutating func pop() -> UInt64? {
    guard let top = elements.first else { return nil }
    let last = elements.removeLast()
    guard !elements.isEmpty else { return top }
    elements[0] = last
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < elements.count else { return top }
      if child + 1 < elements.count, elements[child + 1] < elements[child] { child += 1 }
      guard elements[child] < elements[parent] else { return top }
      elements.swapAt(child, parent)
      parent = child
    }
  }
}

/// Which prompts of a unit begin alike: a prefix that several share is computed once.
///
/// Follows from the prompts alone. A *leaf* is a whole prompt with every sequence that has it; an
/// inner node is a prefix, always shorter than the prompts below it, so that each prompt's last
/// token is run for that prompt: only there are its logits wanted.
struct PrefixTree {
  struct Node {
    /// Tokens from the beginning of the prompt.
    let length: Int
    /// Prefixes and prompts that continue this one, those of earlier sequences first; empty for a
    /// leaf.
    fileprivate(set) var children: [Int] = []
    /// The sequences whose prompts begin with (leaf: are) these tokens; at least one.
    let sequences: ArraySlice<Int>
  }

  /// Prefixes that spare fewer rows than this are computed for each prompt: they would need a pass
  /// before the others can start, and a pass with few rows takes as long as one with this many.
  static let leastRowsSpared = 32

  private(set) var nodes: [Node] = []
  /// The nodes that continue nothing.
  private(set) var roots: [Int] = []

  /// - Parameter prompts: each of at least one token.
  init(_ prompts: [[Int32]]) {
    let order = prompts.indices.sorted { left, right in
      prompts[left].lexicographicallyPrecedes(prompts[right])
        || (prompts[left] == prompts[right] && left < right)
    }
    let leaves = Leaves(order: order, prompts: prompts)
    var waiting = [Branch(leaves: 0..<leaves.count, base: 0, parent: nil)]
    while let branch = waiting.popLast() {
      guard branch.leaves.count > 0 else { continue }
      if branch.leaves.count == 1 {
        let leaf = branch.leaves.lowerBound
        let length = prompts[leaves.first(leaf)].count
        append(
          Node(length: length, sequences: leaves.sequences(branch.leaves)), below: branch.parent)
        continue
      }
      let shared = leaves.sharedLength(branch.leaves)
      var (base, parent) = (branch.base, branch.parent)
      if (shared - base) * (branch.leaves.count - 1) >= Self.leastRowsSpared {
        parent = append(
          Node(length: shared, sequences: leaves.sequences(branch.leaves)), below: parent)
        base = shared
      }
      let parts = leaves.split(branch.leaves, after: shared)
      // Last in, first out.
      for part in parts.reversed() {
        waiting.append(Branch(leaves: part, base: base, parent: parent))
      }
    }
  }

  /// Leaves that have a common beginning of which `base` tokens are those of node `parent`.
  private struct Branch {
    let leaves: Range<Int>
    let base: Int
    let parent: Int?
  }

  @discardableResult
  private mutating func append(_ node: Node, below parent: Int?) -> Int {
    let index = nodes.count
    nodes.append(node)
    if let parent { nodes[parent].children.append(index) } else { roots.append(index) }
    return index
  }
}

/// The distinct prompts in lexicographic order.
private struct Leaves {
  private let order: [Int]
  /// Where each leaf's sequences begin in `order`, and then the end.
  private var starts: [Int] = []
  /// Tokens that a leaf shares with the one before it, less than either has.
  private var shared: [Int] = []

  init(order: [Int], prompts: [[Int32]]) {
    self.order = order
    for (place, sequence) in order.enumerated() {
      let prompt = prompts[sequence]
      guard let last = starts.last else {
        starts.append(place)
        shared.append(0)
        continue
      }
      let before = prompts[order[last]]
      if prompt == before { continue }
      let limit = min(prompt.count, before.count) - 1
      shared.append((0..<limit).first { prompt[$0] != before[$0] } ?? limit)
      starts.append(place)
    }
    starts.append(order.count)
  }

  var count: Int { starts.count - 1 }

  func sequences(_ leaves: Range<Int>) -> ArraySlice<Int> {
    order[starts[leaves.lowerBound]..<starts[leaves.upperBound]]
  }

  /// The first sequence of a leaf.
  func first(_ leaf: Int) -> Int { order[starts[leaf]] }

  /// Tokens that all of them share; two leaves or more.
  func sharedLength(_ leaves: Range<Int>) -> Int {
    shared[leaves.dropFirst()].min() ?? 0
  }

  /// The ranges of `leaves` that share more than `length` tokens, those of earlier sequences first.
  func split(_ leaves: Range<Int>, after length: Int) -> [Range<Int>] {
    var parts: [(range: Range<Int>, first: Int)] = []
    var start = leaves.lowerBound
    for end in leaves.dropFirst() where shared[end] == length {
      parts.append((start..<end, sequences(start..<end).min() ?? 0))
      start = end
    }
    let rest = start..<leaves.upperBound
    parts.append((rest, sequences(rest).min() ?? 0))
    return parts.sorted { $0.first < $1.first }.map(\.range)
  }
}

import WireProtocol

/// What a cache is filled for.
enum BatchWork: Hashable {
  /// A node of the prefix tree.
  case prompt(node: Int)
  /// The tokens of a sequence that has generated some.
  case sequence(Int)
}

/// Which prompts and sequences have a cache now, which wait for one, and which computed prefix they
/// will start from.
///
/// Depth first: what continues a prefix comes before other prompts, so that few prefixes are held.
struct BatchLanes<Model: LanguageModel> {
  /// A cache that grows.
  struct Lane {
    fileprivate(set) var work: BatchWork
    let cache: Model.Cache
    /// Tokens in the cache.
    var length: Int
  }

  /// A computed prefix that several will start from. The last of them takes its cache over.
  private final class Prefix {
    let cache: Model.Cache
    let length: Int
    var followers: Int

    init(_ lane: Lane, followers: Int) {
      cache = lane.cache
      length = lane.length
      self.followers = followers
    }
  }

  private struct Waiting {
    let work: BatchWork
    var prefix: Prefix?
  }

  private let model: Model
  private let cacheType: CacheType
  private let limit: Int
  private let tree: PrefixTree
  /// What runs now, at most `limit` less the prefixes that are held.
  var running: [Lane] = []
  private var waiting: [Waiting]
  private var heldPrefixes = 0

  /// - Parameter limit: caches at one time, 1 or more.
  init(model: Model, cacheType: CacheType, limit: Int, tree: PrefixTree) {
    self.model = model
    self.cacheType = cacheType
    self.limit = limit
    self.tree = tree
    waiting = tree.roots.map { Waiting(work: .prompt(node: $0)) }
  }

  var isEmpty: Bool { running.isEmpty && waiting.isEmpty }

  /// The sequences that the work is for.
  func sequences(of work: BatchWork) -> ArraySlice<Int> {
    switch work {
    case .prompt(let node): tree.nodes[node].sequences
    case .sequence(let index): [index]
    }
  }

  /// Whether the work's end gives its sequences a token.
  func givesTokens(_ work: BatchWork) -> Bool {
    switch work {
    case .prompt(let node): tree.nodes[node].children.isEmpty
    case .sequence: true
    }
  }

  /// Starts what waits while there is room for caches. Something runs afterwards unless all is
  /// done.
  ///
  /// - Throws: what the model throws.
  mutating func admit() throws {
    var index = 0
    while index < waiting.count {
      if mayStart(waiting[index]) {
        try start(waiting.remove(at: index))
      } else {
        index += 1
      }
    }
    if running.isEmpty, !waiting.isEmpty { try start(forced()) }
  }

  private var hasRoom: Bool { running.count + heldPrefixes < limit }

  /// Half of the caches are left for what ends by itself: a prefix does not end before all that
  /// start from it have started.
  private func mayStart(_ next: Waiting) -> Bool {
    if next.prefix?.followers == 1 { return true }
    func branches(_ work: BatchWork) -> Bool { sequences(of: work).count > 1 }
    guard hasRoom, branches(next.work) else { return hasRoom }
    return heldPrefixes + running.count(where: { branches($0.work) }) < max(1, limit / 2)
  }

  /// The next to start when prefixes are all that is alive. Without room it takes its prefix over,
  /// and the others compute theirs again.
  private mutating func forced() -> Waiting {
    guard !hasRoom, let index = waiting.firstIndex(where: { $0.prefix != nil }) else {
      return waiting.removeFirst()
    }
    let next = waiting.remove(at: index)
    for other in waiting.indices where waiting[other].prefix === next.prefix {
      waiting[other].prefix = nil
    }
    next.prefix?.followers = 1
    return next
  }

  private mutating func start(_ next: Waiting) throws {
    guard let prefix = next.prefix else {
      running.append(Lane(work: next.work, cache: try model.makeCache(cacheType), length: 0))
      return
    }
    let isLast = prefix.followers == 1
    let cache = isLast ? prefix.cache : try model.fork(prefix.cache)
    prefix.followers -= 1
    if isLast { heldPrefixes -= 1 }
    running.append(Lane(work: next.work, cache: cache, length: prefix.length))
  }

  /// Decides what becomes of a lane after a pass; may remove it.
  ///
  /// - Parameter ended: the sequences that ended in the pass.
  mutating func settle(_ member: Int, ended: Set<Int>) {
    let lane = running[member]
    if sequences(of: lane.work).allSatisfy(ended.contains) {
      running.remove(at: member)
      return
    }
    guard case .prompt(let index) = lane.work, lane.length == tree.nodes[index].length else {
      return
    }
    let node = tree.nodes[index]
    let followers: [BatchWork] =
      node.children.isEmpty
      ? node.sequences.filter { !ended.contains($0) }.map { .sequence($0) }
      : node.children.map { .prompt(node: $0) }
    if followers.count == 1 {
      running[member].work = followers[0]
      return
    }
    running.remove(at: member)
    let prefix = Prefix(lane, followers: followers.count)
    heldPrefixes += 1
    waiting.insert(contentsOf: followers.map { Waiting(work: $0, prefix: prefix) }, at: 0)
  }
}

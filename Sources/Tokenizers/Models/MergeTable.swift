/// The merges of a byte-pair vocabulary: a pair of token ids to its rank and the token that it
/// becomes.
struct MergeTable: Sendable {
  struct Merge: Sendable {
    /// Position in the list of merges; the lowest goes first.
    var rank: UInt32
    var id: UInt32
  }

  private static let free = UInt64.max
  /// A file could choose ids that collide; no honest list comes near this many probes.
  private static let probeLimit = 1024

  private var keys: [UInt64]
  private var merges: [Merge]
  private(set) var count = 0

  init(minimumCapacity: Int) {
    var size = 1024
    while size < 2 * minimumCapacity { size *= 2 }
    keys = Array(repeating: Self.free, count: size)
    merges = Array(repeating: Merge(rank: 0, id: 0), count: size)
  }

  /// The finaliser of MurmurHash3.
  private static func hash(_ key: UInt64) -> Int {
    var value = key
    value = (value ^ (value >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    value = (value ^ (value >> 33)) &* 0xC4CE_B9FE_1A85_EC53
    return Int(truncatingIfNeeded: value ^ (value >> 33))
  }

  /// Adds a merge; the later of two entries of one pair counts.
  ///
  /// Throws: `TokenizerError` when too many pairs collide.
  mutating func insert(_ left: UInt32, _ right: UInt32, _ merge: Merge) throws {
    if 2 * (count + 1) > keys.count { try grow() }
    let key = UInt64(left) << 32 | UInt64(right)
    var slot = Self.hash(key) & (keys.count - 1)
    var probes = 0
    while keys[slot] != Self.free, keys[slot] != key {
      slot = (slot + 1) & (keys.count - 1)
      probes += 1
      guard probes < Self.probeLimit else {
        throw TokenizerError(.limitExceeded, "pathological list of merges")
      }
    }
    if keys[slot] == Self.free { count += 1 }
    keys[slot] = key
    merges[slot] = merge
  }

  private mutating func grow() throws {
    var larger = MergeTable(minimumCapacity: keys.count)
    for (slot, key) in keys.enumerated() where key != Self.free {
      try larger.insert(
        UInt32(key >> 32), UInt32(truncatingIfNeeded: key), merges[slot])
    }
    self = larger
  }

  func merge(_ left: UInt32, _ right: UInt32) -> Merge? {
    let key = UInt64(left) << 32 | UInt64(right)
    var slot = Self.hash(key) & (keys.count - 1)
    while keys[slot] != Self.free {
      if keys[slot] == key { return merges[slot] }
      slot = (slot + 1) & (keys.count - 1)
    }
    return nil
  }
}

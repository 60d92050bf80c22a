/// The merges of a byte-pair vocabulary: a pair of token ids to its rank and the token that it
/// becomes.
struct MergeTable: Sendable {
  struct Merge: Sendable {
    /// Position in the list of merges; the lowest goes first.
    var rank: UInt32
    var id: UInt32

    /// Of a pair that does not merge: behind all others.
    static let none = Merge(rank: .max, id: 0)

    var isNone: Bool { rank == .max }
  }

  /// A slot: a pair beside its merge, so that finding it is one access to memory.
  private struct Entry {
    static let free = Entry(key: .max, merge: .none)

    var key: UInt64
    var merge: Merge

    var isFree: Bool { key == .max }
  }

  /// A file could choose ids that collide; no honest list comes near this many probes.
  private static let probeLimit = 1024

  private var entries: [Entry]
  private(set) var count = 0

  init(minimumCapacity: Int) {
    var size = 1024
    while size < 2 * minimumCapacity { size *= 2 }
    entries = Array(repeating: .free, count: size)
  }

  private static func key(_ left: UInt32, _ right: UInt32) -> UInt64 {
    UInt64(left) << 32 | UInt64(right)
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
    try insert(Entry(key: Self.key(left, right), merge: merge))
  }

  private mutating func insert(_ entry: Entry) throws {
    if 2 * (count + 1) > entries.count { try grow() }
    var slot = Self.hash(entry.key) & (entries.count - 1)
    var probes = 0
    while !entries[slot].isFree, entries[slot].key != entry.key {
      slot = (slot + 1) & (entries.count - 1)
      probes += 1
      guard probes < Self.probeLimit else {
        throw TokenizerError(.limitExceeded, "pathological list of merges")
      }
    }
    if entries[slot].isFree { count += 1 }
    entries[slot] = entry
  }

  private mutating func grow() throws {
    var larger = MergeTable(minimumCapacity: entries.count)
    for entry in entries where !entry.isFree { try larger.insert(entry) }
    self = larger
  }

  func merge(_ left: UInt32, _ right: UInt32) -> Merge {
    let key = Self.key(left, right)
    var slot = Self.hash(key) & (entries.count - 1)
    while true {
      let entry = entries[slot]
      if entry.key == key || entry.isFree { return entry.merge }
      slot = (slot + 1) & (entries.count - 1)
    }
  }
}

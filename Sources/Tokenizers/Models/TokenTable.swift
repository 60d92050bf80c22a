/// The tokens of a vocabulary: bytes to id and id to bytes.
///
/// One block of bytes and an open-addressing table: a vocabulary of 260,000 tokens costs a few
/// megabytes and loads in milliseconds. Keys are bytes, since Swift strings would merge canonically
/// equivalent tokens. The hash is Swift's seeded one, so that a file cannot be built to collide.
struct TokenTable: Sendable {
  /// Ids must stay below this, so that a file cannot ask for absurd tables.
  static let idLimit = 1 << 24

  private var bytes: [UInt8] = []
  /// Entry e is `bytes[ends[e - 1]..<ends[e]]`.
  private var ends: [Int] = []
  private var ids: [UInt32] = []
  private var slots: [Int32]
  private var entryOfID: [Int32] = []
  private(set) var longestToken = 0

  init(minimumCapacity: Int = 1024) {
    var size = 2048
    while size < 2 * minimumCapacity { size *= 2 }
    slots = Array(repeating: -1, count: size)
  }

  /// How many different tokens there are.
  var count: Int { ids.count }
  /// One more than the largest id.
  var idBound: Int { entryOfID.count }

  private func range(_ entry: Int) -> Range<Int> {
    (entry == 0 ? 0 : ends[entry - 1])..<ends[entry]
  }

  private static func hash(_ key: UnsafeRawBufferPointer) -> Int {
    var hasher = Hasher()
    hasher.combine(bytes: key)
    return hasher.finalize()
  }

  /// The slot that holds the key, or the free one where it would go.
  private func slot(_ key: UnsafeRawBufferPointer) -> Int {
    var slot = Self.hash(key) & (slots.count - 1)
    bytes.withUnsafeBytes { all in
      while slots[slot] >= 0 {
        let candidate = range(Int(slots[slot]))
        if candidate.count == key.count, all[candidate].elementsEqual(key) { return }
        slot = (slot + 1) & (slots.count - 1)
      }
    }
    return slot
  }

  /// Adds a token; the later of two entries of one id counts.
  ///
  /// - Parameter replacesID: whether an equal token that is there already gets the new id, or keeps
  ///   its own, the new id being decoded only.
  /// -
  /// Throws: `TokenizerError` for an id beyond the limit.
  mutating func insert(_ token: [UInt8], id: Int, replacesID: Bool = true) throws {
    guard id >= 0, id < Self.idLimit else {
      throw TokenizerError(.limitExceeded, "token id \(id) is out of range")
    }
    while entryOfID.count <= id { entryOfID.append(-1) }
    let slot = token.withUnsafeBytes { self.slot($0) }
    if slots[slot] >= 0 {
      if replacesID { ids[Int(slots[slot])] = UInt32(id) }
      entryOfID[id] = slots[slot]
      return
    }
    let entry = Int32(ids.count)
    bytes.append(contentsOf: token)
    ends.append(bytes.count)
    ids.append(UInt32(id))
    slots[slot] = entry
    entryOfID[id] = entry
    longestToken = max(longestToken, token.count)
    if 2 * ids.count > slots.count { grow() }
  }

  private mutating func grow() {
    slots = Array(repeating: -1, count: 2 * slots.count)
    for entry in ids.indices {
      let free = bytes.withUnsafeBytes { slot(UnsafeRawBufferPointer(rebasing: $0[range(entry)])) }
      slots[free] = Int32(entry)
    }
  }

  func id(of token: UnsafeRawBufferPointer) -> UInt32? {
    guard token.count <= longestToken else { return nil }
    let entry = slots[slot(token)]
    return entry < 0 ? nil : ids[Int(entry)]
  }

  func id(of token: [UInt8]) -> UInt32? { token.withUnsafeBytes { id(of: $0) } }

  func id(of token: String) -> UInt32? { id(of: Array(token.utf8)) }

  /// The id of a part of a text.
  func id(in text: [UInt8], _ range: Range<Int>) -> UInt32? {
    guard range.count <= longestToken else { return nil }
    return text.withUnsafeBytes { id(of: UnsafeRawBufferPointer(rebasing: $0[range])) }
  }

  /// The bytes of a token; nil for an id that no token has.
  func token(_ id: UInt32) -> [UInt8]? {
    guard id < entryOfID.count, entryOfID[Int(id)] >= 0 else { return nil }
    return Array(bytes[range(Int(entryOfID[Int(id)]))])
  }
}

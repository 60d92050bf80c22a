/// Byte-pair encoding over the characters of a piece: the `BPE` model of the `tokenizers` library,
/// without dropout.
struct BytePairModel: Sendable {
  var vocabulary: TokenTable
  var merges: MergeTable
  /// A piece that is a token as a whole is not merged up from its characters.
  var ignoresMerges = false
  /// A character without a token becomes the tokens `<0xNN>` of its bytes, where all of them exist.
  var byteFallback = false
  /// Neighbouring unknown characters become one unknown token.
  var fusesUnknown = false
  var unknownToken: UInt32?
  var continuingPrefix: [UInt8] = []
  var endOfWordSuffix: [UInt8] = []
  /// The ids of `<0x00>` to `<0xFF>`; empty unless all exist or `byteFallback` is off.
  private var byteTokens: [UInt32?] = []
  /// Ids of one-scalar tokens below U+0800, which are nearly all that byte-level texts contain.
  private var commonScalars: [Int32] = []

  /// Above this many symbols a heap finds the next merge; below, looking at all pairs is faster.
  private static let scanLimit = 48

  init(vocabulary: TokenTable, merges: MergeTable) {
    self.vocabulary = vocabulary
    self.merges = merges
  }

  /// Builds the lookup tables; called once, after the options are set.
  mutating func prepare() {
    byteTokens = (0..<256).map { byteFallback ? vocabulary.id(of: byteTokenName(UInt8($0))) : nil }
    commonScalars = (0..<0x800).map { value in
      guard let scalar = Unicode.Scalar(UInt32(value)),
        let id = vocabulary.id(of: Array(scalar.utf8))
      else { return -1 }
      return Int32(id)
    }
  }

  /// Appends the ids of one piece of valid UTF-8.
  func encode(_ bytes: [UInt8], _ piece: Range<Int>, into ids: inout [UInt32]) {
    if piece.isEmpty { return }
    if ignoresMerges, let id = vocabulary.id(in: bytes, piece) { return ids.append(id) }
    var symbols = self.symbols(bytes, piece)
    if symbols.count <= Self.scanLimit {
      mergeByScanning(&symbols)
      ids.append(contentsOf: symbols)
    } else {
      mergeByHeap(symbols, into: &ids)
    }
  }

  // MARK: characters to symbols

  private func symbols(_ bytes: [UInt8], _ piece: Range<Int>) -> [UInt32] {
    var symbols: [UInt32] = []
    symbols.reserveCapacity(piece.count)
    var pendingUnknown = false
    let isPlain = continuingPrefix.isEmpty && endOfWordSuffix.isEmpty
    var position = piece.lowerBound
    while position < piece.upperBound {
      let (scalar, length) = decodeScalar(bytes, at: position)
      let range = position..<position + length
      position += length
      var id: UInt32?
      if isPlain, scalar.value < 0x800 {
        let common = commonScalars[Int(scalar.value)]
        id = common < 0 ? nil : UInt32(common)
      } else if isPlain {
        id = vocabulary.id(in: bytes, range)
      } else {
        id = vocabulary.id(of: decorated(bytes, range, piece))
      }
      if let id {
        if pendingUnknown, let unknownToken { symbols.append(unknownToken) }
        pendingUnknown = false
        symbols.append(id)
      } else if let fallback = fallback(bytes, range, piece, isPlain: isPlain) {
        // The library leaves an unknown token pending across byte tokens; so do we.
        symbols.append(contentsOf: fallback)
      } else if let unknownToken {
        if pendingUnknown, !fusesUnknown { symbols.append(unknownToken) }
        pendingUnknown = true
      }
    }
    if pendingUnknown, let unknownToken { symbols.append(unknownToken) }
    return symbols
  }

  private func decorated(_ bytes: [UInt8], _ range: Range<Int>, _ piece: Range<Int>) -> [UInt8] {
    let prefix = range.lowerBound > piece.lowerBound ? continuingPrefix : []
    let suffix = range.upperBound == piece.upperBound ? endOfWordSuffix : []
    return prefix + bytes[range] + suffix
  }

  private func fallback(
    _ bytes: [UInt8], _ range: Range<Int>, _ piece: Range<Int>, isPlain: Bool
  ) -> [UInt32]? {
    guard byteFallback else { return nil }
    let text = isPlain ? Array(bytes[range]) : decorated(bytes, range, piece)
    var ids: [UInt32] = []
    for byte in text {
      guard let id = byteTokens[Int(byte)] else { return nil }
      ids.append(id)
    }
    return ids
  }

  // MARK: merging

  /// Merges the pair of lowest rank, the leftmost of equals, until none is left; quadratic, for
  /// short pieces.
  private func mergeByScanning(_ symbols: inout [UInt32]) {
    guard symbols.count > 1 else { return }
    var pairs: [MergeTable.Merge?] = []
    pairs.reserveCapacity(symbols.count)
    for index in 1..<symbols.count {
      pairs.append(merges.merge(symbols[index - 1], symbols[index]))
    }
    while true {
      var best = -1
      var bestRank = UInt32.max
      for (index, pair) in pairs.enumerated() {
        if let pair, pair.rank < bestRank {
          best = index
          bestRank = pair.rank
        }
      }
      guard best >= 0, let merge = pairs[best] else { return }
      symbols[best] = merge.id
      symbols.remove(at: best + 1)
      pairs.remove(at: best)
      if best > 0 { pairs[best - 1] = merges.merge(symbols[best - 1], merge.id) }
      if best < pairs.count { pairs[best] = merges.merge(merge.id, symbols[best + 1]) }
    }
  }

  /// The same in O(n log n): a heap of candidates over a linked list of symbols.
  private func mergeByHeap(_ initial: [UInt32], into ids: inout [UInt32]) {
    var list = SymbolList(initial)
    var heap = MinHeap()
    /// The rank of the pair that starts at a symbol; tells a heap's stale entries.
    var ranks = Array(repeating: UInt32.max, count: initial.count)
    func consider(_ left: Int) {
      guard left >= 0, list.next[left] >= 0,
        let merge = merges.merge(list.ids[left], list.ids[Int(list.next[left])])
      else {
        if left >= 0 { ranks[left] = .max }
        return
      }
      ranks[left] = merge.rank
      heap.push(UInt64(merge.rank) << 32 | UInt64(left))
    }
    for index in initial.indices { consider(index) }
    while let entry = heap.pop() {
      let left = Int(entry & 0xFFFF_FFFF)
      guard ranks[left] == UInt32(entry >> 32), list.next[left] >= 0,
        let merge = merges.merge(list.ids[left], list.ids[Int(list.next[left])])
      else { continue }
      ranks[Int(list.next[left])] = .max
      list.merge(left, into: merge.id)
      consider(left)
      consider(Int(list.previous[left]))
    }
    list.append(to: &ids)
  }
}

/// The name of a byte's token in vocabularies with byte fallback.
func byteTokenName(_ byte: UInt8) -> String {
  let digits = String(byte, radix: 16, uppercase: true)
  return "<0x\(digits.count == 1 ? "0" : "")\(digits)>"
}

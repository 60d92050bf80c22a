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

  /// Memory that the pieces of a text use one after the other.
  struct Scratch {
    fileprivate var pairs: [MergeTable.Merge] = []
  }

  /// Appends the ids of one piece of valid UTF-8.
  func encode(
    _ bytes: [UInt8], _ piece: Range<Int>, into ids: inout [UInt32], _ scratch: inout Scratch
  ) {
    if piece.isEmpty { return }
    if ignoresMerges, let id = vocabulary.id(in: bytes, piece) { return ids.append(id) }
    let start = ids.count
    appendSymbols(bytes, piece, to: &ids)
    if ids.count - start <= Self.scanLimit {
      mergeByScanning(&ids, from: start, &scratch.pairs)
    } else {
      mergeByHeap(&ids, from: start)
    }
  }

  // MARK: characters to symbols

  private func appendSymbols(_ bytes: [UInt8], _ piece: Range<Int>, to symbols: inout [UInt32]) {
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
  private func mergeByScanning(
    _ symbols: inout [UInt32], from start: Int, _ pairs: inout [MergeTable.Merge]
  ) {
    var last = symbols.count - start - 1
    guard last > 0 else { return }
    pairs.removeAll(keepingCapacity: true)
    for index in 0..<last {
      pairs.append(merges.merge(symbols[start + index], symbols[start + index + 1]))
    }
    while last > 0 {
      var best = 0
      for index in 1..<max(1, last) where pairs[index].rank < pairs[best].rank { best = index }
      let merge = pairs[best]
      if merge.isNone { break }
      symbols[start + best] = merge.id
      last -= 1
      // By hand, since moving a few elements costs less than a call.
      for index in best..<last {
        symbols[start + index + 1] = symbols[start + index + 2]
        pairs[index] = pairs[index + 1]
      }
      if best > 0 { pairs[best - 1] = merges.merge(symbols[start + best - 1], merge.id) }
      if best < last { pairs[best] = merges.merge(merge.id, symbols[start + best + 1]) }
    }
    symbols.removeLast(symbols.count - start - last - 1)
  }

  /// The same in O(n log n): a heap of candidates over a linked list of symbols.
  private func mergeByHeap(_ symbols: inout [UInt32], from start: Int) {
    var list = SymbolList(Array(symbols[start...]))
    var heap = MinHeap()
    /// The rank of the pair that starts at a symbol; tells a heap's stale entries.
    var ranks = Array(repeating: UInt32.max, count: symbols.count - start)
    func pair(_ left: Int) -> MergeTable.Merge {
      let right = Int(list.next[left])
      return right < 0 ? .none : merges.merge(list.ids[left], list.ids[right])
    }
    func consider(_ left: Int) {
      guard left >= 0 else { return }
      ranks[left] = pair(left).rank
      if ranks[left] < .max { heap.push(UInt64(ranks[left]) << 32 | UInt64(left)) }
    }
    for index in ranks.indices { consider(index) }
    while let entry = heap.pop() {
      let left = Int(entry & 0xFFFF_FFFF)
      guard ranks[left] == UInt32(entry >> 32) else { continue }
      let merge = pair(left)
      if merge.isNone { continue }
      ranks[Int(list.next[left])] = .max
      list.merge(left, into: merge.id)
      consider(left)
      consider(Int(list.previous[left]))
    }
    symbols.removeLast(symbols.count - start)
    list.append(to: &symbols)
  }
}

/// The name of a byte's token in vocabularies with byte fallback.
func byteTokenName(_ byte: UInt8) -> String {
  let digits = String(byte, radix: 16, uppercase: true)
  return "<0x\(digits.count == 1 ? "0" : "")\(digits)>"
}

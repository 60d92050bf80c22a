/// SentencePiece's byte-pair encoding as GGUF files of Llama's first generations describe it: no
/// list of merges, but a score for each token. Of all neighbours whose concatenation is a token,
/// the one of highest score is joined first, the leftmost of equals; what is no token in the end
/// becomes the tokens of its bytes.
struct ScoredMergeModel: Sendable {
  var vocabulary: TokenTable
  /// By token id.
  var scores: [Float]
  var byteTokens: [UInt32?]
  var unknownToken: UInt32?
  /// Tokens that no text becomes, though it may spell them.
  var excluded: Set<UInt32> = []
  /// Whether a run of unknown characters is one unknown token, where bytes have no tokens.
  var fusesUnknown = false

  func encode(_ bytes: [UInt8], _ piece: Range<Int>, into ids: inout [UInt32]) {
    var starts: [Int] = []
    var position = piece.lowerBound
    while position < piece.upperBound {
      starts.append(position)
      position += decodeScalar(bytes, at: position).length
    }
    /// Symbol i covers `starts[i]..<ends[i]`.
    var ends = Array(starts.dropFirst()) + [piece.upperBound]
    var list = SymbolList(Array(repeating: 0, count: starts.count))
    var heap = MinHeap()
    /// Where the pair that starts at a symbol ends, if it is a candidate; tells a heap's stale
    /// entries.
    var candidates = Array(repeating: -1, count: starts.count)
    func consider(_ left: Int) {
      guard left >= 0, list.next[left] >= 0 else { return }
      let range = starts[left]..<ends[Int(list.next[left])]
      guard let id = token(bytes, range), Int(id) < scores.count else { return }
      heap.push(UInt64(Self.descendingOrder(scores[Int(id)])) << 32 | UInt64(left))
      candidates[left] = range.upperBound
    }
    for index in starts.indices { consider(index) }
    while let entry = heap.pop() {
      let left = Int(entry & 0xFFFF_FFFF)
      let right = Int(list.next[left])
      guard right >= 0, candidates[left] == ends[right],
        let id = token(bytes, starts[left]..<ends[right]), Int(id) < scores.count,
        Self.descendingOrder(scores[Int(id)]) == UInt32(entry >> 32)
      else { continue }
      ends[left] = ends[right]
      candidates[left] = -1
      candidates[right] = -1
      list.merge(left, into: 0)
      consider(left)
      consider(Int(list.previous[left]))
    }
    var index = starts.isEmpty ? -1 : 0
    while index >= 0 {
      append(bytes, starts[index]..<ends[index], to: &ids)
      index = Int(list.next[index])
    }
  }

  private func append(_ bytes: [UInt8], _ symbol: Range<Int>, to ids: inout [UInt32]) {
    if let id = token(bytes, symbol) { return ids.append(id) }
    guard !fusesUnknown || byteTokens.contains(where: { $0 != nil }) else {
      if let unknownToken, ids.last != unknownToken { ids.append(unknownToken) }
      return
    }
    for byte in bytes[symbol] {
      if let id = byteTokens[Int(byte)] ?? unknownToken { ids.append(id) }
    }
  }

  private func token(_ bytes: [UInt8], _ range: Range<Int>) -> UInt32? {
    vocabulary.id(in: bytes, range).flatMap { excluded.contains($0) ? nil : $0 }
  }

  /// A number that grows as the score falls.
  private static func descendingOrder(_ score: Float) -> UInt32 {
    let bits = score.bitPattern
    let ascending = bits & 0x8000_0000 == 0 ? bits | 0x8000_0000 : ~bits
    return ~ascending
  }
}

/// The `Unigram` model: the segmentation of highest total score (Viterbi), as the `tokenizers`
/// library computes it.
struct UnigramModel: Sendable {
  var vocabulary: TokenTable
  /// By token id.
  var scores: [Double]
  var unknownToken: UInt32?
  var byteFallback: Bool
  /// Tokens that no text becomes, though it may spell them.
  var excluded: Set<UInt32> = []
  private let lowestScore: Double
  /// What an unknown character costs below the worst token.
  private static let unknownPenalty = 10.0

  /// - Parameter lowestScore: of the tokens that count; nil: of all.
  init(
    vocabulary: TokenTable, scores: [Double], unknownToken: UInt32?, byteFallback: Bool,
    lowestScore: Double? = nil
  ) {
    self.vocabulary = vocabulary
    self.scores = scores
    self.unknownToken = unknownToken
    self.byteFallback = byteFallback
    self.lowestScore = lowestScore ?? scores.min() ?? 0
  }

  /// Throws: `TokenizerError` when a character is unknown and there is no unknown token.
  func encode(_ bytes: [UInt8], _ piece: Range<Int>, into ids: inout [UInt32]) throws {
    let unknownScore = lowestScore - Self.unknownPenalty
    /// The best segmentation that ends at a byte: its score, where its last token starts (-1:
    /// none), and that token.
    var best = Array(
      repeating: (score: 0.0, start: -1, id: UInt32(0)), count: piece.count + 1)
    func offer(_ end: Int, _ score: Double, _ start: Int, _ id: UInt32) {
      if best[end].start < 0 || score > best[end].score { best[end] = (score, start, id) }
    }
    var start = 0
    while start < piece.count {
      let length = decodeScalar(bytes, at: piece.lowerBound + start).length
      var hasSingle = false
      var end = start
      while end < piece.count, end - start < vocabulary.longestToken {
        end += decodeScalar(bytes, at: piece.lowerBound + end).length
        let range = piece.lowerBound + start..<piece.lowerBound + end
        guard let id = vocabulary.id(in: bytes, range), !excluded.contains(id) else { continue }
        offer(end, scores[Int(id)] + best[start].score, start, id)
        if end - start == length { hasSingle = true }
      }
      if !hasSingle {
        guard let unknownToken else {
          throw TokenizerError(.unknownToken, "unknown character and no unknown token")
        }
        offer(start + length, unknownScore + best[start].score, start, unknownToken)
      }
      start += length
    }
    appendPath(best, bytes, piece, into: &ids)
  }

  private func appendPath(
    _ best: [(score: Double, start: Int, id: UInt32)], _ bytes: [UInt8], _ piece: Range<Int>,
    into ids: inout [UInt32]
  ) {
    var tokens: [(range: Range<Int>, isUnknown: Bool)] = []
    var end = piece.count
    while end > 0 {
      let node = best[end]
      let range = piece.lowerBound + node.start..<piece.lowerBound + end
      if node.id == unknownToken, let last = tokens.last, last.isUnknown {
        tokens[tokens.count - 1].range = range.lowerBound..<last.range.upperBound
      } else {
        tokens.append((range, node.id == unknownToken))
      }
      end = node.start
    }
    for token in tokens.reversed() {
      if let id = vocabulary.id(in: bytes, token.range), !excluded.contains(id) {
        ids.append(id)
      } else if byteFallback, let fallback = byteIDs(bytes[token.range]) {
        ids.append(contentsOf: fallback)
      } else if let unknownToken {
        ids.append(unknownToken)
      }
    }
  }

  private func byteIDs(_ bytes: ArraySlice<UInt8>) -> [UInt32]? {
    var ids: [UInt32] = []
    for byte in bytes {
      guard let id = vocabulary.id(of: byteTokenName(byte)) else { return nil }
      ids.append(id)
    }
    return ids
  }
}

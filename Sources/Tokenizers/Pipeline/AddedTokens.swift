/// A token that is found in the text before the model sees it.
struct AddedToken: Sendable, Equatable {
  var content: [UInt8]
  /// Only matches where no word character stands before or after.
  var isSingleWord = false
  /// Takes the white space before it along.
  var stripsLeft = false
  /// Takes the white space after it along.
  var stripsRight = false
  /// Is searched in the normalized text, itself normalized.
  var isNormalized = true
  /// Is left out when decoding without special tokens.
  var isSpecial = false
}

/// The added tokens of a vocabulary: their ids and the search for them.
struct AddedTokens: Sendable {
  private(set) var idOf: [[UInt8]: UInt32] = [:]
  private(set) var tokenOf: [UInt32: AddedToken] = [:]
  private var special: [AddedToken] = []
  private var ordinary: [AddedToken] = []
  /// Contents, as the library tells special tokens by their text.
  private(set) var specialContents: Set<[UInt8]> = []
  /// How each token reads when decoded: normalized, if that is how it is searched.
  private(set) var spellingOf: [UInt32: [UInt8]] = [:]
  private var raw = TokenTrie()
  private var normalized = TokenTrie()
  private var largestID: UInt32?

  /// Adds tokens in the order of the file. As in the library, a token that the model knows keeps
  /// the model's id, and another one gets the next free id, whatever the file says.
  mutating func add(_ tokens: [AddedToken], vocabulary: TokenTable, modelSize: Int) throws {
    for token in tokens where !token.content.isEmpty {
      if token.isSpecial, specialContents.insert(token.content).inserted { special.append(token) }
      if let id = idOf[token.content], tokenOf[id] == token { continue }
      let id =
        idOf[token.content] ?? vocabulary.id(of: token.content)
        ?? largestID.map { max($0 + 1, UInt32(modelSize)) } ?? UInt32(modelSize)
      guard id < TokenTable.idLimit else {
        throw TokenizerError(.limitExceeded, place: "added_tokens", "too many tokens")
      }
      idOf[token.content] = id
      tokenOf[id] = token
      largestID = max(largestID ?? 0, id)
      if !specialContents.contains(token.content) { ordinary.append(token) }
    }
  }

  /// Builds the search; called once, after all tokens are added.
  mutating func prepare(_ normalizer: Normalizer?) throws {
    for token in special + ordinary {
      guard let id = idOf[token.content] else { continue }
      if token.isNormalized {
        let spelling = try normalizer?.apply(token.content) ?? token.content
        normalized.insert(spelling, id: id)
        spellingOf[id] = spelling
      } else {
        spellingOf[id] = token.content
        raw.insert(token.content, id: id)
      }
    }
  }

  func isSpecial(_ content: [UInt8]) -> Bool { specialContents.contains(content) }

  enum Section: Sendable, Equatable {
    case token(UInt32)
    case text(Range<Int>)
  }

  /// Cuts a text at the tokens that are searched before normalizing.
  func sections(ofRaw text: [UInt8]) -> [Section] { sections(of: text, raw) }

  /// Cuts a normalized text at the tokens that are searched in it.
  func sections(ofNormalized text: [UInt8]) -> [Section] { sections(of: text, normalized) }

  private func sections(of text: [UInt8], _ trie: TokenTrie) -> [Section] {
    guard !trie.isEmpty else { return text.isEmpty ? [] : [.text(text.indices)] }
    var result: [Section] = []
    var done = 0
    var position = 0
    while let (match, id) = trie.nextMatch(in: text, from: position) {
      position = match.upperBound
      guard let token = tokenOf[id], !token.isSingleWord || standsAlone(match, in: text) else {
        continue
      }
      let start =
        token.stripsLeft
        ? max(done, trimWhiteSpace(text, from: 0, to: match.lowerBound)) : match.lowerBound
      if done < start { result.append(.text(done..<start)) }
      result.append(.token(id))
      done =
        token.stripsRight
        ? skipWhiteSpace(text, from: match.upperBound, to: text.count) : match.upperBound
    }
    if done < text.count { result.append(.text(done..<text.count)) }
    return result
  }

  private func standsAlone(_ match: Range<Int>, in text: [UInt8]) -> Bool {
    let word = UnicodeClasses.rustWord
    if match.lowerBound > 0 {
      let before = scalarStart(text, before: match.lowerBound)
      if word.contains(decodeScalar(text, at: before).scalar) { return false }
    }
    return match.upperBound == text.count
      || !word.contains(decodeScalar(text, at: match.upperBound).scalar)
  }
}

/// Finds the leftmost of some byte strings in a text, the longest of those that start there.
struct TokenTrie: Sendable {
  /// `node << 8 | byte` to the child node; node 0 is the root.
  private var children: [UInt64: Int32] = [:]
  private var ids: [UInt32?] = [nil]
  private var startsToken = Array(repeating: false, count: 256)

  var isEmpty: Bool { ids.count == 1 }

  /// The first of two equal strings counts. The empty string is ignored.
  mutating func insert(_ token: [UInt8], id: UInt32) {
    guard let first = token.first else { return }
    startsToken[Int(first)] = true
    var node: Int32 = 0
    for byte in token {
      let key = UInt64(node) << 8 | UInt64(byte)
      if let child = children[key] {
        node = child
      } else {
        ids.append(nil)
        node = Int32(ids.count - 1)
        children[key] = node
      }
    }
    if ids[Int(node)] == nil { ids[Int(node)] = id }
  }

  func nextMatch(in text: [UInt8], from start: Int) -> (Range<Int>, UInt32)? {
    var position = start
    while position < text.count {
      if startsToken[Int(text[position])], let match = longestMatch(in: text, at: position) {
        return match
      }
      position += 1
    }
    return nil
  }

  private func longestMatch(in text: [UInt8], at start: Int) -> (Range<Int>, UInt32)? {
    var best: (Range<Int>, UInt32)?
    var node: Int32 = 0
    for position in start..<text.count {
      guard let child = children[UInt64(node) << 8 | UInt64(text[position])] else { break }
      node = child
      if let id = ids[Int(node)] { best = (start..<position + 1, id) }
    }
    return best
  }
}

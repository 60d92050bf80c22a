import ModelFormats

/// What a tokenizer does to a text before splitting it.
indirect enum Normalizer: Sendable {
  case sequence([Normalizer])
  case form(NormalizationForm)
  case lowercase
  case prepend([UInt8])
  case replace(TextPattern, [UInt8])
  case strip(left: Bool, right: Bool)
  case stripAccents
  case bert(BertNormalizer)
  case nmt
  case precompiled(PrecompiledMap)
  case byteLevel
  case sentencePiece(SentencePieceNormalizer)

  /// - Parameter json: the `normalizer` member of a tokenizer file.
  /// - Throws: `TokenizerError` for a kind or a setting that is unknown.
  init(_ json: JSONValue) throws {
    let type = json["type"]?.stringValue ?? ""
    switch type {
    case "Sequence":
      let members = json["normalizers"]?.arrayValue ?? []
      self = .sequence(try members.map { try Normalizer($0) })
    case "NFC", "NFD", "NFKC", "NFKD":
      self = .form(NormalizationForm(rawValue: type) ?? .composed)
    case "Lowercase": self = .lowercase
    case "Prepend": self = .prepend(try requiredBytes(json, "prepend"))
    case "Replace":
      self = .replace(try TextPattern(json["pattern"]), try requiredBytes(json, "content"))
    case "Strip":
      self = .strip(
        left: json["strip_left"]?.boolValue ?? true, right: json["strip_right"]?.boolValue ?? true)
    case "StripAccents": self = .stripAccents
    case "BertNormalizer": self = .bert(BertNormalizer(json))
    case "Nmt": self = .nmt
    case "Precompiled": self = .precompiled(try PrecompiledMap(json))
    case "ByteLevel": self = .byteLevel
    default: throw TokenizerError(.unsupported, place: "normalizer", "type \(quoted(type))")
    }
  }

  /// Normalizes valid UTF-8. Throws: `TokenizerError` when an expression exceeds its limits.
  func apply(_ bytes: [UInt8]) throws -> [UInt8] {
    switch self {
    case .sequence(let steps): return try steps.reduce(bytes) { try $1.apply($0) }
    case .form(let form): return form.apply(bytes)
    case .lowercase: return lowercased(bytes)
    case .prepend(let prefix): return bytes.isEmpty ? bytes : prefix + bytes
    case .replace(let pattern, let content): return try pattern.replacing(in: bytes, with: content)
    case .strip(let left, let right): return stripped(bytes, left: left, right: right)
    case .stripAccents: return mapScalars(bytes) { UnicodeClasses.accents.contains($0) ? nil : $0 }
    case .bert(let bert): return bert.apply(bytes)
    case .nmt: return mapScalars(bytes, nmtScalar)
    case .precompiled(let map): return map.apply(bytes)
    case .sentencePiece(let normalizer): return normalizer.apply(bytes)
    case .byteLevel:
      var text = SplitText(bytes, startsInput: true)
      ByteAlphabet.spell(&text)
      return text.bytes
    }
  }
}

/// A string member as bytes. Throws: `TokenizerError` when it is missing.
func requiredBytes(_ json: JSONValue, _ key: String) throws -> [UInt8] {
  guard let text = json[key]?.stringValue else {
    throw TokenizerError(.malformed, place: key, "a string is missing")
  }
  return Array(text.utf8)
}

/// Replaces each scalar by another or by none.
func mapScalars(
  _ bytes: [UInt8], _ transform: (Unicode.Scalar) -> Unicode.Scalar?
) -> [UInt8] {
  var result: [UInt8] = []
  result.reserveCapacity(bytes.count)
  for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
    if let mapped = transform(scalar) { appendScalar(mapped, to: &result) }
  }
  return result
}

/// Scalar by scalar, as the library does: no rule depends on the neighbours.
func lowercased(_ bytes: [UInt8]) -> [UInt8] {
  var result: [UInt8] = []
  result.reserveCapacity(bytes.count)
  for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
    if scalar.isASCII {
      let value = UInt8(truncatingIfNeeded: scalar.value)
      result.append((0x41...0x5A).contains(value) ? value + 0x20 : value)
    } else {
      result.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
    }
  }
  return result
}

private func stripped(_ bytes: [UInt8], left: Bool, right: Bool) -> [UInt8] {
  var start = 0
  var end = bytes.count
  if left { start = skipWhiteSpace(bytes, from: 0, to: end) }
  if right { end = trimWhiteSpace(bytes, from: start, to: end) }
  return Array(bytes[start..<end])
}

/// The first position at or after `start` that is not white space.
func skipWhiteSpace(_ bytes: [UInt8], from start: Int, to end: Int) -> Int {
  var position = start
  while position < end {
    let (scalar, length) = decodeScalar(bytes, at: position)
    guard isWhiteSpace(scalar) else { break }
    position += length
  }
  return position
}

/// The end of `start..<end` without trailing white space.
func trimWhiteSpace(_ bytes: [UInt8], from start: Int, to end: Int) -> Int {
  var position = end
  while position > start {
    let before = scalarStart(bytes, before: position)
    guard isWhiteSpace(decodeScalar(bytes, at: before).scalar) else { break }
    position = before
  }
  return position
}

/// Unicode's White_Space, which is Rust's `char::is_whitespace`.
func isWhiteSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }

/// SentencePiece's nmt rules: some controls vanish, other blanks become spaces.
private func nmtScalar(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
  switch scalar.value {
  case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: nil
  case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
    " "
  default: scalar
  }
}

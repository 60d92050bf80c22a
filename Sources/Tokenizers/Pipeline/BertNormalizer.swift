import ModelFormats

/// The clean-up of BERT's tokenizer.
struct BertNormalizer: Sendable {
  var cleansText = true
  var isolatesChinese = true
  var stripsAccents = true
  var lowercases = true

  init(_ json: JSONValue) {
    cleansText = json["clean_text"]?.boolValue ?? true
    isolatesChinese = json["handle_chinese_chars"]?.boolValue ?? true
    lowercases = json["lowercase"]?.boolValue ?? true
    stripsAccents = json["strip_accents"]?.boolValue ?? lowercases
  }

  func apply(_ bytes: [UInt8]) -> [UInt8] {
    var text = bytes
    if cleansText { text = mapScalars(text, Self.clean) }
    if isolatesChinese { text = Self.isolateChinese(text) }
    if stripsAccents {
      text = mapScalars(NormalizationForm.decomposed.apply(text)) {
        UnicodeClasses.bertAccents.contains($0) ? nil : $0
      }
    }
    return lowercases ? lowercased(text) : text
  }

  private static func clean(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
    if scalar == "\t" || scalar == "\n" || scalar == "\r" { return " " }
    if scalar.properties.generalCategory == .control { return nil }
    if UnicodeClasses.bertFormats.contains(scalar) { return nil }
    if scalar.value == 0xFFFD { return nil }
    return isWhiteSpace(scalar) ? " " : scalar
  }

  private static func isolateChinese(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
      let isChinese =
        switch scalar.value {
        case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F,
          0x2B740...0x2B81F, 0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
          true
        default: false
        }
      if isChinese { result.append(0x20) }
      appendScalar(scalar, to: &result)
      if isChinese { result.append(0x20) }
    }
    return result
  }
}

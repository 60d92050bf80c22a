import ModelFormats

/// The metadata of a GGUF file under one prefix, with errors that name file and key.
struct GGUFSettings {
  let file: GGUFFile
  let prefix: String

  /// - Parameter architecture: keys are looked up as `architecture.key`.
  init(_ file: GGUFFile, architecture: String) {
    self.file = file
    prefix = architecture + "."
  }

  func error(_ code: FormatError.Code, _ key: String, _ reason: String) -> FormatError {
    // What is missing is missing from the list of pairs, which follows magic, version and counts.
    let offset = file.metadataOffsets[prefix + key] ?? 24
    return FormatError(
      code, file: file.name, offset: UInt64(offset), reason: "\(prefix)\(key) \(reason)")
  }

  func has(_ key: String) -> Bool { file.metadata[prefix + key] != nil }

  func hasTensor(_ name: String) -> Bool { file.tensors.contains { $0.name == name } }

  func optionalInt(_ key: String) throws -> Int? {
    try optional(key, "an integer", \.intValue)
  }

  func int(_ key: String) throws -> Int { try required(key, optionalInt(key)) }

  /// The value of `key`, which must be from 1 to `limit`.
  func positive(_ key: String, limit: Int) throws -> Int {
    let value = try int(key)
    guard value >= 1, value <= limit else {
      throw error(.limitExceeded, key, "is \(value), must be from 1 to \(limit)")
    }
    return value
  }

  func optionalDouble(_ key: String) throws -> Double? {
    try optional(key, "a number", \.doubleValue)
  }

  func double(_ key: String) throws -> Double { try required(key, optionalDouble(key)) }

  func optionalString(_ key: String) throws -> String? {
    try optional(key, "a string", \.stringValue)
  }

  func string(_ key: String) throws -> String { try required(key, optionalString(key)) }

  /// One integer for each layer, also written as a single one for all.
  func optionalPerLayer(_ key: String, layers: Int) throws -> [Int]? {
    try optional(key, "an integer or an array of one integer a layer") { value in
      if let single = value.intValue { return Array(repeating: single, count: layers) }
      guard let values = value.intsValue, values.count == layers else { return nil }
      return values
    }
  }

  /// One flag for each layer, as true or false, or as 0 or 1.
  func optionalFlags(_ key: String, layers: Int) throws -> [Bool]? {
    try optional(key, "an array of one flag a layer") { value in
      let flags =
        value.boolsValue
        ?? value.intsValue.flatMap {
          $0.allSatisfy { $0 == 0 || $0 == 1 } ? $0.map { $0 == 1 } : nil
        }
      return flags?.count == layers ? flags : nil
    }
  }

  private func optional<T>(
    _ key: String, _ expected: String, _ convert: (GGUFValue) -> T?
  ) throws -> T? {
    guard let value = file.metadata[prefix + key] else { return nil }
    guard let converted = convert(value) else { throw error(.badType, key, "is not \(expected)") }
    return converted
  }

  private func required<T>(_ key: String, _ value: T?) throws -> T {
    guard let value else { throw error(.missing, key, "is missing") }
    return value
  }

  func optionalBool(_ key: String) throws -> Bool? {
    try optional(key, "true or false", \.boolValue)
  }

  /// The rows of the embedding matrix, which is what the model computes with.
  func vocabularySize() throws -> Int {
    guard let rows = file.tensors.first(where: { $0.name == "token_embd.weight" })?.shape.first
    else {
      throw FormatError(
        .missing, file: file.name, reason: "there is no tensor \"token_embd.weight\"")
    }
    return rows
  }

  /// Of queries, keys and values alike.
  func headDimension(hidden: Int, heads: Int) throws -> Int {
    let limit = ModelDescription.Limit.headDimension
    guard let keys = try optionalInt("attention.key_length") else {
      guard hidden % heads == 0 else {
        throw error(.malformed, "embedding_length", "\(hidden) is not a multiple of \(heads) heads")
      }
      return hidden / heads
    }
    guard keys >= 1, keys <= limit else {
      throw error(.limitExceeded, "attention.key_length", "is \(keys)")
    }
    if let values = try optionalInt("attention.value_length"), values != keys {
      throw error(
        .unsupported, "attention.value_length", "is \(values), unlike the key length \(keys)")
    }
    return keys
  }

  /// What llama.cpp takes as ends of a generation: end of sequence, of turn and of message.
  func endOfSequenceIds(_ vocabulary: Int) throws -> [Int] {
    let tokenizer = GGUFSettings(file, architecture: "tokenizer.ggml")
    let ids = try ["eos_token_id", "eot_token_id", "eom_token_id"].compactMap {
      try tokenizer.optionalInt($0)
    }
    return Set(ids.filter { $0 >= 0 && $0 < vocabulary }).sorted()
  }
}

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
}

import Foundation

/// A JSON object read as settings: typed access in which `null` counts as absent, and every error
/// names file and key.
package struct ConfigObject: Sendable {
  /// The file's name, for messages.
  package let file: String
  /// Where this object lies in the file, such as `rope_parameters.`; empty at the top.
  package let prefix: String
  /// The members that are not null.
  package let members: ExactDictionary<JSONValue>
  private let nulls: Set<ExactString>
  /// Where keys stand in the file, by their paths from the top.
  private let keyOffsets: ExactDictionary<Int>

  private init(
    file: String, prefix: String = "", members: JSONMembers, keyOffsets: ExactDictionary<Int>
  ) {
    self.keyOffsets = keyOffsets
    self.file = file
    self.prefix = prefix
    let all = zip(members.keys, members.values)
    nulls = Set(all.filter { $1.isNull }.map { ExactString($0.0) })
    self.members = ExactDictionary(
      all.filter { !$1.isNull }, uniquingKeysWith: { _, last in last })
  }

  /// Reads a JSON file whose top is an object.
  ///
  /// - Parameter limitBytes: the largest file that is accepted.
  /// - Throws: `FormatError`.
  package init(contentsOf url: URL, limitBytes: Int = 64 << 20) throws {
    let storage = try ByteStorage(mapping: url)
    guard storage.count <= limitBytes else {
      throw FormatError(
        .limitExceeded, file: url.path,
        reason: "\(storage.count) bytes, at most \(limitBytes) are accepted")
    }
    try self.init(bytes: storage.withUnsafeBytes { Array($0) }, name: url.path)
  }

  /// Reads JSON text whose top is an object.
  ///
  /// - Parameter name: what errors call it.
  /// - Throws: `FormatError`.
  package init(bytes: [UInt8], name: String) throws {
    var reader = try JSONReader(bytes, file: name, rules: .strict)
    guard reader.peek() == UInt8(ascii: "{") else { throw reader.error("not an object") }
    var keyOffsets: ExactDictionary<Int> = [:]
    let members = try Self.readMembers(&reader, prefix: "", &keyOffsets)
    try reader.finish()
    self.init(file: name, members: members, keyOffsets: keyOffsets)
  }

  /// Reads an object and notes where its keys and those of objects in it stand.
  private static func readMembers(
    _ reader: inout JSONReader, prefix: String, _ keyOffsets: inout ExactDictionary<Int>
  ) throws -> JSONMembers {
    try reader.readMembers { reader, key in
      keyOffsets[prefix + key] = reader.tokenStart
      guard reader.peek() == UInt8(ascii: "{") else { return try reader.readValue() }
      return .object(try readMembers(&reader, prefix: "\(prefix)\(key).", &keyOffsets))
    }
  }

  /// An error about `key`, at its byte or, when it is missing, at that of the object that lacks it.
  package func error(_ code: FormatError.Code, _ key: String, _ reason: String) -> FormatError {
    let offset = keyOffsets[prefix + key] ?? keyOffsets[String(prefix.dropLast())] ?? 0
    return FormatError(
      code, file: file, offset: UInt64(offset),
      reason: "\(quoted(prefix + key, limit: 200)) \(reason)")
  }

  /// True if `key` is there and not null.
  package func has(_ key: String) -> Bool { members[key] != nil }

  /// True if `key` is written as null, which for some keys means something else than its absence.
  package func isNull(_ key: String) -> Bool { nulls.contains(ExactString(key)) }

  /// The value of `key` if present.
  ///
  /// - Throws: `FormatError` with code `badType` when it is not an integer.
  package func optionalInt(_ key: String) throws -> Int? {
    try optional(key, "an integer", \.intValue)
  }

  /// - Throws: `FormatError`, `missing` or `badType`.
  package func int(_ key: String) throws -> Int { try required(key, optionalInt(key)) }

  /// The value of `key`, which must be from 1 to `limit`.
  ///
  /// - Throws: `FormatError`, `missing`, `badType` or `limitExceeded`.
  package func positive(_ key: String, limit: Int) throws -> Int {
    try required(key, optionalPositive(key, limit: limit))
  }

  /// The value of `key` if present, which must be from 1 to `limit`.
  ///
  /// - Throws: `FormatError`, `badType` or `limitExceeded`.
  package func optionalPositive(_ key: String, limit: Int) throws -> Int? {
    guard let value = try optionalInt(key) else { return nil }
    guard value >= 1, value <= limit else {
      throw error(.limitExceeded, key, "is \(value), must be from 1 to \(limit)")
    }
    return value
  }

  /// - Throws: `FormatError` with code `badType`.
  package func optionalDouble(_ key: String) throws -> Double? {
    try optional(key, "a number", \.doubleValue)
  }

  /// - Throws: `FormatError`, `missing` or `badType`.
  package func double(_ key: String) throws -> Double { try required(key, optionalDouble(key)) }

  /// - Throws: `FormatError` with code `badType`.
  package func optionalBool(_ key: String) throws -> Bool? {
    try optional(key, "true or false", \.boolValue)
  }

  /// - Throws: `FormatError` with code `badType`.
  package func optionalString(_ key: String) throws -> String? {
    try optional(key, "a string", \.stringValue)
  }

  /// - Throws: `FormatError`, `missing` or `badType`.
  package func string(_ key: String) throws -> String { try required(key, optionalString(key)) }

  /// - Throws: `FormatError` with code `badType`.
  package func optionalObject(_ key: String) throws -> ConfigObject? {
    guard let members = try optional(key, "an object", \.objectValue) else { return nil }
    return ConfigObject(
      file: file, prefix: "\(prefix)\(key).", members: members, keyOffsets: keyOffsets)
  }

  /// A list of integers, also written as a single one.
  ///
  /// - Throws: `FormatError` with code `badType`.
  package func optionalInts(_ key: String) throws -> [Int]? {
    try optional(key, "an integer or a list of integers") { value in
      if let single = value.intValue { return [single] }
      guard let elements = value.arrayValue else { return nil }
      let integers = elements.compactMap(\.intValue)
      return integers.count == elements.count ? integers : nil
    }
  }

  /// - Throws: `FormatError` with code `badType`.
  package func optionalStrings(_ key: String) throws -> [String]? {
    try optional(key, "a list of strings") { value in
      guard let elements = value.arrayValue else { return nil }
      let strings = elements.compactMap(\.stringValue)
      return strings.count == elements.count ? strings : nil
    }
  }

  private func optional<T>(
    _ key: String, _ expected: String, _ convert: (JSONValue) -> T?
  ) throws -> T? {
    guard let value = members[key] else { return nil }
    guard let converted = convert(value) else { throw error(.badType, key, "is not \(expected)") }
    return converted
  }

  private func required<T>(_ key: String, _ value: T?) throws -> T {
    guard let value else { throw error(.missing, key, "is missing") }
    return value
  }
}
